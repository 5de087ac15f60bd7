"""The planner: a form for each layer, by predicted operations within a bound on memory; and all layers' directions."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rbench.backend import Array, Backend
from rbench.errors import CapacitanceError, SolverError
from rbench.metrics import KroneckerMass, Mass
from rbench.modules import Layer, Params
from rbench.names import unknown
from rbench.solvers.base import Direction, Form
from rbench.solvers.cost import LayerSize
from rbench.solvers.dense import Dense, Inverse
from rbench.solvers.gram import gram_forms
from rbench.solvers.rows import ByChannels

SOLVERS: dict[str, Callable[[LayerSize, float], list[Form]]] = {
    "gram": gram_forms,
    "rows": lambda size, numbers: [ByChannels("rows", size.fan_out)],
    "dense": lambda size, numbers: [Dense()],
    "inverse": lambda size, numbers: [Inverse()],
}
"""The forms of every solver, for a layer's sizes and a workspace, in numbers held at once."""

OF_CAPACITANCE = ("gram", "rows")
"""The solvers that factor the capacitance, which layers can share."""

WORKSPACE_BYTES = 2**30
"""Memory that a layer's solve may take beyond its rows, where another form takes less."""


def serves(solver: str, mass: Mass) -> bool:
    """Whether a solver can use a mass of this structure: `gram` needs a scalar or separable one."""
    return solver != "gram" or isinstance(mass, KroneckerMass)


def check_solver(name: str, masses: Iterable[Mass]) -> None:
    """Raise unless `name` is `auto`, or a solver that can use all masses.

    Raises:
        SolverError: the message names the way out.
    """
    if not isinstance(name, str) or name not in ("auto", *SOLVERS):
        raise SolverError(unknown("solver", name, ["auto", *SOLVERS]))
    if name != "auto" and not all(serves(name, mass) for mass in masses):
        raise SolverError(
            f"solver {name!r} needs a scalar or separable mass, not a full diagonal, which has no Kronecker structure; "
            "use 'rows' or 'dense'"
        )


def choose_form(
    name: str,
    backend: Backend,
    size: LayerSize,
    mass: Mass,
    workspace_bytes: float = WORKSPACE_BYTES,
    *,
    joint: bool = False,
) -> Form:
    """The form of a solver with the fewest predicted operations among those that fit the workspace.

    If none fits, the one that takes the least memory. `auto` considers all solvers but `inverse`, since `dense` does
    the same in less; and where layers are solved jointly, only those that factor the capacitance.

    Raises:
        SolverError: no solver has that name, or it cannot use the mass.
    """
    check_solver(name, [mass])
    names: tuple[str, ...] = (name,)
    if name == "auto":
        known = OF_CAPACITANCE if joint else (*OF_CAPACITANCE, "dense")
        names = tuple(solver for solver in known if serves(solver, mass))
    return _cheapest(names, size, workspace_bytes / backend.itemsize)


@lru_cache(1000)  # an eager step asks anew for every layer
def _cheapest(solvers: tuple[str, ...], size: LayerSize, workspace: float) -> Form:
    forms = [(form.cost(size), form) for solver in solvers for form in SOLVERS[solver](size, workspace)]
    fitting = [(cost, form) for cost, form in forms if cost.numbers <= workspace]
    if fitting:
        return min(fitting, key=lambda pair: pair[0].operations)[1]
    return min(forms, key=lambda pair: pair[0].numbers)[1]


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
