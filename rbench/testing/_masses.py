"""Masses as users give them, and the diagonals that they mean."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rbench.modules import Layer
from rbench.testing._networks import Numbers, flat, shaped


def mass_diagonals(mass: Any, layers: Sequence[Layer]) -> list[Numbers]:
    """The diagonal (n,) of every layer's mass, in the order of flat blocks.

    Args:
        mass: as a user gives it: a number for all layers; or for each layer a number, a pair (row, column) for
            m_ij = row_i column_j, an array (out, in [+1]), a vector (n,), or a mapping of `weight` and `bias`.
        layers: the network's layers.
    """
    entries = mass if isinstance(mass, list | tuple) else [mass] * len(layers)
    return [_diagonal(entry, layer) for entry, layer in zip(entries, layers, strict=True)]


def _diagonal(entry: Any, layer: Layer) -> Numbers:
    if isinstance(entry, Mapping):
        return flat(entry)
    values = np.outer(*entry) if isinstance(entry, tuple) else np.asarray(entry, np.float64)
    if values.ndim == 2:
        return np.concatenate([values[:, : layer.fan_in].ravel(), values[:, layer.fan_in :].ravel()])
    return np.broadcast_to(values, layer.n_parameters)


def draw_mass(kind: str, layers: Sequence[Layer], rng: np.random.Generator) -> Any:
    """A random mass as a user gives it, with entries from 0.1 to 2.

    Args:
        kind: `scalar`, one number for all layers; or for each layer a number (`list`), a `pair` (row, column), an array
            like the block with the bias as last column (`full`), a vector (`flat`) or a `mapping` of names to arrays.
        layers: the network's layers.
        rng: generator of the numbers.
    """
    return 0.3 if kind == "scalar" else [_draw_entry(kind, layer, rng) for layer in layers]


def _draw_entry(kind: str, layer: Layer, rng: np.random.Generator) -> Any:
    out, width = layer.fan_out, layer.fan_in + layer.bias
    if kind == "list":
        return float(rng.uniform(0.5, 2))
    if kind == "pair":
        return rng.uniform(0.5, 2, out), rng.uniform(0.2, 1, width)
    full = rng.uniform(0.1, 2, (out, width))
    return {"full": full, "flat": full.ravel(), "mapping": shaped(full.ravel(), layer)}[kind]
