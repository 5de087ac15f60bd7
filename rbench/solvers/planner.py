"""The planner: chooses a form for each layer by predicted operations, within a bound on memory."""

from collections.abc import Iterable

from rbench.backend import Backend
from rbench.errors import SolverError
from rbench.metrics import Mass
from rbench.names import unknown
from rbench.solvers.base import Form, Solver
from rbench.solvers.cost import LayerSize
from rbench.solvers.dense import Dense, Inverse
from rbench.solvers.gram import gram_forms
from rbench.solvers.rows import ByChannels

_ALL = (
    Solver("gram", gram_forms, kronecker=True),
    Solver("rows", lambda size, numbers: [ByChannels("rows", size.fan_out)]),
    Solver("dense", lambda size, numbers: [Dense()]),
    Solver("inverse", lambda size, numbers: [Inverse()]),
)
SOLVERS: dict[str, Solver] = {solver.name: solver for solver in _ALL}
WORKSPACE_BYTES = 2**30
"""Memory that a layer's solve may take beyond its rows, where another form takes less."""


def check_solver(name: str, masses: Iterable[Mass]) -> None:
    """Raise unless `name` is `auto`, or a solver that can use all masses.

    Raises:
        SolverError: the message names the way out.
    """
    if not isinstance(name, str) or name not in ("auto", *SOLVERS):
        raise SolverError(unknown("solver", name, ["auto", *SOLVERS]))
    if name != "auto" and not all(map(SOLVERS[name].serves, masses)):
        raise SolverError(
            f"solver {name!r} needs a scalar or separable mass, not a full diagonal, which has no Kronecker structure; "
            "use 'rows' or 'dense'"
        )


def choose_form(
    name: str, backend: Backend, size: LayerSize, mass: Mass, workspace_bytes: float = WORKSPACE_BYTES
) -> Form:
    """The form of a solver with the fewest predicted operations among those that fit the workspace.

    If none fits, the one that takes the least memory. `auto` considers all solvers but `inverse`, since `dense` does
    the same in less.

    Raises:
        SolverError: no solver has that name, or it cannot use the mass.
    """
    check_solver(name, [mass])
    if name == "auto":
        solvers = [solver for solver in SOLVERS.values() if solver.serves(mass) and solver.name != "inverse"]
    else:
        solvers = [SOLVERS[name]]
    workspace = workspace_bytes / backend.itemsize
    forms = [form for solver in solvers for form in solver.forms(size, workspace)]
    fitting = [form for form in forms if form.cost(size).numbers <= workspace]
    if fitting:
        return min(fitting, key=lambda form: form.cost(size).operations)
    return min(forms, key=lambda form: form.cost(size).numbers)
