"""The Riemannian gradient of a whole network: every layer solved, in the structure of the parameters."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rbench.backend import Array, Backend
from rbench.errors import CapacitanceError
from rbench.metrics import Mass
from rbench.modules import Layer, LayerPullback, Params
from rbench.solvers.base import Direction
from rbench.solvers.cost import LayerSize
from rbench.solvers.planner import WORKSPACE_BYTES, choose_form


class Update(NamedTuple):
    """Directions of all layers.

    Attributes:
        blocks: Δ_l in the structure of the parameters.
        slope: computes Σ_l g_lᵀ Δ_l, a scalar.
        health: (layers,), NaN at a layer whose matrix could not be factored.
    """

    blocks: Params
    slope: Callable[[], Array]
    health: Array


def solve_layers(
    backend: Backend,
    layers: Sequence[Layer],
    pulled: Sequence[LayerPullback],
    masses: Sequence[Mass],
    solver: str = "auto",
    workspace_bytes: float = WORKSPACE_BYTES,
) -> Update:
    """Δ_l = G_l⁻¹ g_l for every layer, given their pulled-back gradients and metrics.

    The solver is one's name, or `auto` for the planner's choice per layer; `workspace_bytes` is the memory that a
    layer's solve may take beyond its rows, where another form takes less.
    """
    directions = []
    for rows, mass in zip(pulled, masses, strict=True):
        form = choose_form(solver, backend, LayerSize.of(rows), mass, workspace_bytes)
        directions.append(form.direction(backend, rows, mass))
    return gathered(backend, layers, directions)


def gathered(backend: Backend, layers: Sequence[Layer], directions: Sequence[Direction]) -> Update:
    """The directions of all layers as one `Update`."""
    xp = backend.xp
    blocks = tuple(layer.block(*d.weights, backend) for layer, d in zip(layers, directions, strict=True))

    def slope() -> Array:
        return xp.sum(xp.stack([direction.slope() for direction in directions]))

    return Update(blocks, slope, xp.stack([direction.health for direction in directions]))


def check_health(health: np.ndarray[Any, Any], step: int | None = None) -> None:
    """Raise `CapacitanceError` for the first layer that could not be factored, given `Update.health` on the host."""
    for layer, value in enumerate(health):
        if not math.isfinite(value):
            raise CapacitanceError(layer, step)
