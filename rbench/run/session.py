"""A run: the cells of a request, run into a directory or resumed there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench.experiment import Cell
from rbench.run.directory import check_directory, refuse_newer, writing_into
from rbench.run.display import Display
from rbench.run.executor import Executor, Job
from rbench.run.fork import servers
from rbench.run.local import LocalExecutor
from rbench.run.lock import locked
from rbench.run.machine import CellLimits
from rbench.run.memory_pass import lacks_memory
from rbench.run.provenance import look_again
from rbench.run.record import FINAL, Record, Status, cells_folder, find
from rbench.run.request import Request
from rbench.run.resume import ChangedError, find_records, stored
from rbench.run.run_file import earlier_plans, write_run_file
from rbench.run.series import Series
from rbench.run.tuned import Tuned


@dataclass(frozen=True)
class Run:
    """A run's records, in the order of its cells.

    Attributes:
        directory: where they are stored.
        records: one per cell.
    """

    directory: Path
    records: list[Record]

    @property
    def ok(self) -> bool:
        """Whether every cell ended `ok`."""
        return all(record.status == "ok" for record in self.records)


def run(
    request: Request,
    directory: Path,
    display: Display,
    *,
    timeout: float | None = None,
    memory_limit: int | None = None,
    memory_pass: bool = True,
    force: bool = False,
    executor: Executor | None = None,
) -> Run:
    """Run what is not yet in `directory`.

    Args:
        request: what to run.
        directory: the run's directory, made if absent.
        display: shows the run's progress.
        timeout: seconds per cell, or None.
        memory_limit: bytes that a cell may hold resident, or None; see `run_child`.
        memory_pass: whether the peak memory of cells that run is measured, in a process of its own.
        force: run all cells again.
        executor: runs the cells; on this machine, `request.jobs` at once, if None.

    Raises:
        RbenchError: the request cannot be run; nothing has been started.
    """
    executor = executor or LocalExecutor(request.jobs)
    cells = request.cells(here=executor.here)
    for line in request.left_out(cells):
        display.warn(line)
    try:
        records = run_cells(
            cells,
            directory,
            display,
            request=request.model_dump(),
            executor=executor,
            limits=CellLimits(timeout=timeout, memory_limit=memory_limit, memory_pass=memory_pass),
            keep=() if force else FINAL,
            tuning=request.tuning(cells),
        )
    except ChangedError as error:
        raise ChangedError(f"{error}, or run all of its cells again with `force`") from None
    return Run(directory, records)


@servers
def run_cells(
    cells: Sequence[Cell],
    directory: Path,
    display: Display,
    *,
    request: dict[str, Any],
    executor: Executor,
    limits: CellLimits,
    keep: Collection[Status] = FINAL,
    tuning: Mapping[str, Tuned] | None = None,
    replaces: bool = False,
) -> list[Record]:
    """Run cells that are not yet in `directory`.

    Args:
        cells: what to run.
        directory: the run's directory, made if absent.
        display: shows the run's progress.
        request: the request for the cells, stored with them.
        executor: runs the cells.
        limits: of every cell; where they include a memory pass, stored records whose own failed get one.
        keep: cells that ended so in an earlier run are not run again.
        tuning: the searches that found cells' settings, by cell key, for the records.
        replaces: whether the plan replaces the directory's, as when a tune goes on; otherwise that plan's cells without
            a record stay planned.

    Returns:
        A record for each cell, in order.

    Raises:
        ChangedError: records that would stay in the directory were made differently than now, or the software changed
            during the run.
        RbenchError: a cell cannot be run, or another process runs into the directory; nothing has been started.
    """
    check_directory(directory, "run")
    refuse_newer(directory)
    check(cells, here=executor.here)
    data = executor.prepare_data(cells, limits)
    with locked(directory):
        look_again()
        with writing_into(directory):
            there = find_records(directory, display.warn)
            before = earlier_plans(directory, display.warn)
            keys = [cell.key for cell in cells]
            kept = {key: there[key] for key in keys if key in there and there[key].status in keep}
            others = [record for key, record in there.items() if key not in keys]
            executor.check_same(directory, [*kept.values(), *others], data)
            todo = [cell for cell in cells if cell.key not in kept]
            _tell_of_threads(todo, there, display)
            display.start(len(todo), len(kept))
            executor.prepare(todo, display)
            cells_folder(directory).mkdir(exist_ok=True)
            write_run_file(directory, request, keys, before=None if replaces else before, there=there)
        records = {key: _with_tuning(directory, record, tuning) for key, record in kept.items()}
        lacking = _lacking(records.values(), display) if limits.memory_pass else []
        job = Job(directory, display, limits)
        # Closed at once when the display is interrupted, so that no further cell starts.
        try:
            with closing(executor.run(job, todo, lacking, Series(cells, records))) as ended:
                for record in ended:
                    key = record.cell.key
                    records[key] = _with_tuning(directory, record, tuning)
                    if key not in kept:
                        display.end(records[key])
        finally:
            if any(record.attachment for record in records.values()):
                with writing_into(directory):
                    publish(directory, cells)
        return [records[key] for key in keys]


def check(cells: Sequence[Cell], *, here: bool = True) -> None:
    """Raise an `RbenchError` for cells that cannot be run, before any of them is.

    Args:
        cells: what is to run.
        here: whether on this machine; the memory of others is unknown.
    """
    kinds: dict[type[Cell], list[Cell]] = {}
    for cell in cells:
        kinds.setdefault(type(cell), []).append(cell)
    for kind, own in kinds.items():
        kind.check(own, here=here)


def publish(directory: Path, cells: Sequence[Cell]) -> None:
    """Write the files for other tools, for each experiment of some cells, from all stored records."""
    found = find(directory).records
    for kind in dict.fromkeys(type(cell) for cell in cells):
        kind.publish(directory, [record for record in found if type(record.cell) is kind])


def _tell_of_threads(todo: Sequence[Cell], there: Mapping[str, Record], display: Display) -> None:
    """Warn where cells to run have records with another number of threads."""
    asked = {cell.key for cell in todo}
    for threads in {cell.threads for cell in todo}:
        cells = [record.cell for key, record in there.items() if key not in asked]
        twins = [cell for cell in cells if cell.model_copy(update={"threads": threads}).key in asked]
        if twins:
            display.warn(
                f"{len(twins)} cells have records with {twins[0].threads} threads each, and run again with {threads} "
                "as separate cells: time and rounding depend on it"
            )


def _lacking(records: Iterable[Record], display: Display) -> list[Record]:
    """Records whose peak memory is still to be measured."""
    lacking = [record for record in records if lacks_memory(record)]
    if lacking:
        display.warn(f"records without their peak memory, as its measurement failed: {len(lacking)}; it is tried again")
    return lacking


def _with_tuning(directory: Path, record: Record, tuning: Mapping[str, Tuned] | None) -> Record:
    """Add to a record the search that found its settings, and store it."""
    search = (tuning or {}).get(record.cell.key)
    if search is None or record.tuning == search:
        return record
    return stored(directory, record.model_copy(update={"tuning": search}))
