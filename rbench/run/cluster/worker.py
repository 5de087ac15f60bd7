"""What a worker of a Dask cluster does: it introduces itself to a run, and runs one cell at a time.

Questions and answers are text, so that a worker with another rbench can still say its version.
"""

import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter

from rbench import plugin_files
from rbench.errors import PluginError, RbenchError
from rbench.experiment import AnyCell, Cell
from rbench.plugins import find_backend, plugins
from rbench.run.child_process import INTERVAL, Stopped
from rbench.run.fork import servers
from rbench.run.isolate import Progress
from rbench.run.machine import CellLimits, Machine
from rbench.run.provenance import environment, provenance
from rbench.run.record import Record, plain
from rbench.train.cell import configured

REPORT_SECONDS = 1.0
"""Least time between two reports of a cell's steps."""

LOG_BYTES = 2**20
"""How much of the end of a cell's output is returned."""


class Introduction(BaseModel):
    """What a worker says of itself before it is given a cell.

    Attributes:
        host: name of its machine.
        rbench: its version.
        commit: of its checkout; None where it does not run from one.
        problems: why cells cannot run here, in words; a cell of each kind was tried.
        environments: of the cells that were sent, in order, as `rbench.run.provenance.environment` finds them; empty
            where the cells could not be read.
    """

    host: str
    rbench: str
    commit: str | None = None
    problems: tuple[str, ...] = ()
    environments: tuple[dict[str, str], ...] = ()


class Order(BaseModel):
    """A cell for a worker.

    Attributes:
        cell: what to run.
        lacking: the cell's record, where only its peak memory is to be measured.
    """

    cell: AnyCell
    lacking: Record | None = None


class Result(BaseModel):
    """What a worker returns.

    Attributes:
        record: the cell's record.
        log: its output.
    """

    record: Record
    log: str = ""


class _Run(NamedTuple):
    """A run to which this process has introduced itself.

    Attributes:
        machine: this machine, under the run's limits.
        plugins: paths of the run's plugins that are files, as in `RBENCH_PLUGINS`.
    """

    machine: Machine
    plugins: str


_RUNS: dict[str, _Run] = {}

_ONE = threading.Lock()
"""Held while this process has a run's plugins."""


def topic(run: str) -> str:
    """Where workers report a run's steps: messages [key of the cell, steps done, steps to do]."""
    return f"rbench-{run}"


def introduce(run: str, limits: str, files: str, todo: str, there: str) -> str:
    """Prepare this process to take cells of a run.

    Args:
        run: the run.
        limits: of its cells, as JSON.
        files: texts of its plugins that are files, by name, as JSON.
        todo: a cell of each kind that is to run, as JSON.
        there: a cell of each kind that has a record already, as JSON.

    Returns:
        An `Introduction`, as JSON, with the environments of the first cells and then of the others.
    """
    known = provenance()
    said = Introduction(
        host=socket.gethostname(), rbench=known["rbench"], commit=known["commit"] and known["commit"]["id"]
    )
    if not _RUNS:
        servers.__enter__()  # as long as this process lives
    try:
        if run not in _RUNS:
            _RUNS[run] = _Run(Machine(CellLimits.model_validate_json(limits)), _written(run, json.loads(files)))
        with _ONE, plugin_files.named(_RUNS[run].plugins):
            plugins()  # before cells are read, whose experiments may be among them
            read = TypeAdapter(list[AnyCell])
            cells = read.validate_json(todo)
            others = read.validate_json(there)
            found = {
                "problems": tuple(dict.fromkeys(problem for cell in cells for problem in _problems(cell))),
                "environments": tuple(environment(cell) for cell in (*cells, *others)),
            }
    except (ValueError, PluginError) as error:  # of another version, or a plugin that needs what is not here
        found = {"problems": (f"cannot read what is asked: {error}",)}
    return said.model_copy(update=found).model_dump_json()


def _written(run: str, files: dict[str, str]) -> str:
    """Write a run's plugins into the worker's scratch folder; returns their paths, as in `RBENCH_PLUGINS`."""
    from distributed import get_worker

    folder = Path(get_worker().local_directory, f"rbench-{run}")
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return os.pathsep.join(str(folder / name) for name in files)


def work(run: str, order: str) -> str:
    """Run a cell in isolation, behind the equivalence gate of its platform; cells never overlap in a worker's process.

    Args:
        run: the run that it belongs to.
        order: an `Order`, as JSON.

    Returns:
        A `Result`, as JSON.

    Raises:
        LookupError: this process has not introduced itself to the run: the worker was started anew.
        Stopped: the cell is no longer wanted.
    """
    if run not in _RUNS:
        raise LookupError("its process was started anew")
    unwanted = _Unwanted()
    while not _ONE.acquire(timeout=INTERVAL):
        if unwanted.is_set():
            raise Stopped
    try:
        with plugin_files.named(_RUNS[run].plugins), tempfile.TemporaryDirectory(prefix="rbench-") as scratch:
            given = Order.model_validate_json(order)
            record = _record(given, _RUNS[run].machine, Path(scratch), _reporter(run, unwanted.worker), unwanted)
            log = Path(scratch, f"{given.cell.key}.log")
            said = log.read_bytes()[-LOG_BYTES:].decode(errors="replace") if log.exists() else ""
    finally:
        _ONE.release()
    return json.dumps(plain(Result(record=record, log=said).model_dump()))


class _Unwanted(threading.Event):
    """Set once nobody waits for the current task: it was cancelled, the run has ended, or the scheduler is gone."""

    def __init__(self) -> None:
        super().__init__()
        from distributed import get_worker

        self.worker: Any = get_worker()
        self._key = self.worker.get_current_task()

    def is_set(self) -> bool:
        task = self.worker.state.tasks.get(self._key)
        ending = self.worker.status.name in ("closing", "closed", "failed", "stopping", "stopped")
        return ending or task is None or task.state != "executing"


def _problems(cell: Cell) -> list[str]:
    """Why a cell of this kind cannot run here."""
    found = []
    made: list[Callable[[], Any]] = [lambda: find_backend(cell.backend, cell.dtype, cell.device)]
    made += [partial(configured, kind, spec) for kind, spec in cell.specs]
    for make in made:
        try:
            make()
        except RbenchError as error:
            found.append(str(error))
    return found


def _record(order: Order, machine: Machine, scratch: Path, progress: Progress, unwanted: _Unwanted) -> Record:
    try:
        if order.lacking is not None:
            return machine.measure_memory(order.lacking, unwanted)
        return machine.run(order.cell, scratch, progress, unwanted)
    except RbenchError as error:
        reason = f"{type(error).__name__}: {error}"
        return Record(cell=order.cell, status="crashed", reason=reason, environment=environment(order.cell))
    finally:
        machine.forget_failures()


def _reporter(run: str, worker: Any) -> Progress:
    """Reports steps to the run, now and then."""
    last = 0.0

    def report(cell: Cell, done: int, total: int) -> None:
        nonlocal last
        if monotonic() - last > REPORT_SECONDS:
            last = monotonic()
            worker.log_event(topic(run), [cell.key, done, total])

    return report
