"""Checks before any cell runs: that methods can train on their tasks, and that these fit into memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rbench.bounds import check_bytes
from rbench.errors import RbenchError, SpecError
from rbench.losses import get_loss
from rbench.methods import Method, Problem
from rbench.modules import Module
from rbench.plugins import get_backend
from rbench.tasks import Task

if TYPE_CHECKING:
    from rbench.train.cell import Training

BYTES_PER_PARAMETER = 8
"""At least: a parameter and its gradient, in float32."""


def check_cells(cells: "Sequence[Training]", *, here: bool) -> None:
    """Raise for methods that cannot train on their task, and for tasks that cannot fit, as `Cell.check` does.

    Raises:
        SpecError: the message names the method, the task and the reason.
    """
    tasks = {spec: cell.make_task() for spec, cell in {cell.task: cell for cell in cells}.items()}
    problems = {spec: _problem(task, here=here) for spec, task in tasks.items()}
    for cell in {(cell.task, cell.method): cell for cell in cells}.values():
        try:
            check_method(cell.make_method(), problems[cell.task], here=here)
        except RbenchError as error:
            raise SpecError(f"{cell.method} on {cell.task}: {error}; name other `methods` or other `tasks`") from None
        if (size := tasks[cell.task].batch_size) is not None:
            check_batch(cell, size)


def check_method(method: Method, problem: Problem, *, here: bool) -> None:
    """Raise for a method that cannot train on a problem, or lacks a library; a lack is the workers' if not `here`.

    Raises:
        RbenchError: as `Method.check` does; or it is unavailable.
    """
    if (why := method.unavailable()) is None:
        method.check(problem)
    elif here:
        raise SpecError(f"method {method.name!r} is unavailable: {why}")


def check_batch(cell: "Training", size: int) -> None:
    """Raise for a method that cannot train on batches of a size.

    Raises:
        SpecError: the message names the method, the task and the reason.
    """
    try:
        cell.make_method().check_batch(size)
    except RbenchError as error:
        raise SpecError(f"{cell.method} on {cell.task}: {error}") from None


def check_network(what: str, net: Module, data_bytes: int = 0) -> None:
    """Raise for a network that cannot fit into memory with its gradient and `data_bytes` of data.

    Raises:
        SpecError: `what` takes more memory than this machine has.
    """
    parameters = sum(layer.n_parameters for layer in net.layers)
    check_bytes(what, data_bytes + BYTES_PER_PARAMETER * parameters, "give smaller sizes")


def _problem(task: Task, *, here: bool) -> Problem:
    """A task's problem on NumPy, whatever the backend of its cells: a framework takes seconds to import."""
    try:
        net = task.network()
        loss = get_loss(task.loss)
    except RbenchError as error:
        raise SpecError(f"{task.spec}: {error}; name other `tasks`") from None
    if here:
        check_network(f"{task.spec}: its data and network", net, task.data_bytes() or 0)
    return Problem(get_backend("numpy"), net, loss)
