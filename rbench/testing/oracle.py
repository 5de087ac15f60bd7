"""A dense float64 oracle: outputs, Jacobians, losses, metrics and masses from their formulas, in plain NumPy.

It shares nothing with the code that it judges but the structure of networks and the random numbers drawn on the host:
it has a forward pass of its own, Jacobians are complex steps through that, and losses and output metrics are their
dense definitions, datum by datum.

Layouts: parameters are a tuple with one dict of arrays per layer, as everywhere; a flat block (n,) is the weight in C
order, then the bias. Losses take z (d,) of one datum, metrics z (batch, d).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rbench.losses import get_loss
from rbench.losses.dense import Numbers
from rbench.metrics import get_output_metric
from rbench.modules import Layer, Module, Params
from rbench.random import generator
from rbench.testing._networks import flat, forward, jacobians, layer_inputs, layer_jacobians, shaped


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network at some parameters and inputs, with what follows from them.

    Attributes:
        net: the network, with one output wire of shape (d,).
        params: its parameters.
        x: inputs (batch, *shape), one array per wire.
    """

    net: Module
    params: Params
    x: tuple[Numbers, ...]

    @cached_property
    def outputs(self) -> Numbers:
        """z (batch, d)."""
        (z,) = forward(self.net, self.params, self.x)
        return z

    @cached_property
    def jacobians(self) -> list[Numbers]:
        """Every layer's Jacobian, (batch, d, n)."""
        return jacobians(self.net, self.params, self.x)

    def gradients(self, loss: str, y: Any) -> list[Numbers]:
        """Every layer's gradient (n,) of the mean loss, for one target per datum."""
        z = self.outputs
        cotangent = get_loss(loss).dense.cotangent
        return [
            np.asarray(sum(jacobian[b].T @ cotangent(z[b], y[b]) for b in range(len(z))) / len(z))
            for jacobian in self.jacobians
        ]


def hessian(loss: str, z: Numbers) -> Numbers:
    """∂²ℓ/∂z² of one datum, (d, d), which is the same for every target."""
    chosen = get_loss(loss)
    return chosen.dense.hessian(z, 0 if chosen.integer_targets else chosen.dense.mean(z))


def drawn(loss: str, z: Numbers, rank: int, seed: int, step: int = 0) -> Numbers:
    """Targets ŷ ~ p(· | z), `rank` of them per datum, (batch, rank, …), of z (batch, d) at a training step."""
    return get_loss(loss).dense.draw(generator(seed, "samples", step), z, rank)


def output_metrics(
    metric: str | Any, loss: str, z: Numbers, y: Any, rank: int = 1, seed: int = 0, step: int = 0
) -> Numbers:
    """The output metric of every datum, (batch, d, d).

    Args:
        metric: a name, or a matrix (d, d) for every datum alike.
        loss: the loss's name.
        z: outputs (batch, d).
        y: targets, one per datum.
        rank: samples per datum, for a metric that draws them.
        seed: seed of the samples.
        step: 0-based index of the training step, for the samples.
    """
    if not isinstance(metric, str):
        return np.stack([np.asarray(metric, np.float64)] * len(z))
    chosen = get_output_metric(metric, rank)
    targets = drawn(loss, z, rank, seed, step) if chosen.samples else [None] * len(z)
    return np.stack([chosen.dense(get_loss(loss), *datum) for datum in zip(z, y, targets, strict=True)])


def layer_metric(jacobian: Numbers, metrics: Numbers, mass: Numbers, treatment: str) -> Numbers:
    """G = M + the batch's mean of J_bᵀ Ĝ_b J_b for `stack`, or M + J̄ᵀ Ḡ J̄ of the means for `mean`.

    Args:
        jacobian: (batch, d, n).
        metrics: (batch, d, d).
        mass: the diagonal of M, (n,).
        treatment: `stack` or `mean`.
    """
    if treatment == "mean":
        mean = jacobian.mean(axis=0)
        return np.asarray(np.diag(mass) + mean.T @ metrics.mean(axis=0) @ mean)
    parts = [j.T @ g @ j for j, g in zip(jacobian, metrics, strict=True)]
    return np.asarray(np.diag(mass) + sum(parts) / len(parts))


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
    out = layer.fan_out
    width = layer.fan_in + layer.bias
    if kind == "list":
        return float(rng.uniform(0.5, 2))
    if kind == "pair":
        return rng.uniform(0.5, 2, out), rng.uniform(0.2, 1, width)
    full = rng.uniform(0.1, 2, (out, width))
    return {"full": full, "flat": full.ravel(), "mapping": shaped(full.ravel(), layer)}[kind]


def kronecker_factors(
    net: Module, params: Params, x: Any, metrics: Numbers, sharing: str = "expand"
) -> list[tuple[Numbers, Numbers]]:
    """K-FAC's factors of every layer: A = E[ā_t ā_tᵀ] and G = E[Σ_t J_btᵀ Ĝ_b J_bt].

    ā_t are the layer's inputs at position t, with a 1 where it has a bias, and J_bt (d, fan_out) is the Jacobian of the
    network's outputs with respect to the layer's there. A averages over data and positions, G over data.

    Args:
        net: the network.
        params: its parameters.
        x: inputs (batch, *shape), or a tuple of them.
        metrics: the output metric Ĝ_b of every datum, (batch, d, d).
        sharing: `expand`; or `reduce`, where a datum has one position: the mean of ā_t, and the sum of J_bt.

    Returns:
        For every layer A (fan_in [+1], fan_in [+1]) and G (fan_out, fan_out).
    """
    found = []
    for layer, a, jacobian in zip(
        net.layers, layer_inputs(net, params, x), layer_jacobians(net, params, x), strict=True
    ):
        if sharing == "reduce":
            a = a.mean(axis=1, keepdims=True)
            jacobian = jacobian.sum(axis=2, keepdims=True)
        flattened = a.reshape(-1, layer.fan_in)
        widened = np.column_stack([flattened, np.ones((len(flattened), int(layer.bias)))])
        covariance = sum(j.T @ g @ j for at, g in zip(jacobian, metrics, strict=True) for j in np.moveaxis(at, 1, 0))
        found.append((widened.T @ widened / len(widened), np.asarray(covariance / len(a))))
    return found
