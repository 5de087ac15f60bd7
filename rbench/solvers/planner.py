"""The planner: which solver serves a layer, by predicted operations under a bound on memory."""

from rbench.backend import Backend
from rbench.errors import SolverError
from rbench.metrics import Mass
from rbench.solvers.base import LayerSize, Solver
from rbench.solvers.dense import Dense
from rbench.solvers.gram import Gram
from rbench.solvers.inverse import Inverse
from rbench.solvers.rows import Rows

SOLVERS: dict[str, Solver] = {solver.name: solver for solver in (Gram(), Rows(), Dense(), Inverse())}
WORKSPACE_BYTES = 2**30
"""Memory that the planner's choice may take beyond the pulled-back rows, where another choice takes less."""


def choose_solver(
    name: str, backend: Backend, size: LayerSize, mass: Mass, workspace_bytes: float = WORKSPACE_BYTES
) -> Solver:
    """The solver of a name, or for `auto` the one with the fewest predicted operations that fits the workspace.

    Where none fits, the one that takes the least memory. `inverse` is never chosen: `dense` does the same in less.

    Args:
        name: `auto` or one of `SOLVERS`.
        backend: for the bytes of a number.
        size: the layer's sizes.
        mass: the layer's mass.
        workspace_bytes: bound on the memory of an `auto` choice.

    Raises:
        SolverError: no solver has that name, or it cannot use the mass.
    """
    if name == "auto":
        able = [solver for solver in SOLVERS.values() if solver.serves(mass) and solver.name != "inverse"]
        fitting = [solver for solver in able if solver.numbers(size) * backend.itemsize <= workspace_bytes]
        if fitting:
            return min(fitting, key=lambda solver: solver.operations(size))
        return min(able, key=lambda solver: solver.numbers(size))
    if not isinstance(name, str) or name not in SOLVERS:
        raise SolverError(f"no solver is called {name!r}; there are: auto, {', '.join(SOLVERS)}")
    if not SOLVERS[name].serves(mass):
        raise SolverError(
            f"solver {name!r} needs a scalar or separable mass, not a full diagonal, which has no Kronecker structure; "
            "use 'rows' or 'dense'"
        )
    return SOLVERS[name]
