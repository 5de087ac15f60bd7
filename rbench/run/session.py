"""A run: the cells of a request into a directory, resuming what is there."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.errors import RbenchError
from rbench.run.check import check, check_batch
from rbench.run.data import Found, find_data, wanted
from rbench.run.directory import check_directory, refuse_newer
from rbench.run.display import Display
from rbench.run.executor import LocalExecutor
from rbench.run.gate import Gate, gate
from rbench.run.lock import locked
from rbench.run.memory_pass import lacks_memory
from rbench.run.provenance import environment, look_again
from rbench.run.record import FINAL, Record, Status, cells_folder
from rbench.run.request import Request
from rbench.run.resume import ChangedError, Data, check_same, find_records, stored
from rbench.run.run_file import earlier_plans, write_run_file
from rbench.run.tuned import Tuned
from rbench.train.cell import Cell

if TYPE_CHECKING:
    from rbench.run.cluster import Cluster
    from rbench.run.cluster.executor import ClusterExecutor


@dataclass(frozen=True)
class Run:
    """A run's records, in the order of its cells.

    Attributes:
        directory: where they are stored.
        records: one a cell.
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
    force: bool = False,
    cluster: "Cluster | None" = None,
) -> Run:
    """Run what is not yet in `directory`.

    Args:
        request: what to run.
        directory: the run's directory, made where it is not there.
        display: told how the run goes on.
        timeout: seconds a cell, or None.
        memory_limit: bytes that a cell may hold resident, or None; see `ask`.
        force: run all cells again.
        cluster: where cells run; this machine if None.

    Raises:
        RbenchError: what is asked for cannot be run; nothing has been started.
    """
    cells = request.cells(here=cluster is None)
    try:
        records = run_cells(
            cells,
            directory,
            display,
            request=request.model_dump(),
            jobs=request.jobs,
            timeout=timeout,
            memory_limit=memory_limit,
            keep=() if force else FINAL,
            tuning=request.tuning(cells),
            cluster=cluster,
        )
    except ChangedError as error:
        raise ChangedError(f"{error}, or run all of its cells again with --force") from None
    return Run(directory, records)


def run_cells(
    cells: Sequence[Cell],
    directory: Path,
    display: Display,
    *,
    request: dict[str, Any],
    jobs: int,
    timeout: float | None,
    memory_limit: int | None = None,
    memory_pass: bool = True,
    keep: Collection[Status] = FINAL,
    tuning: Mapping[str, Tuned] | None = None,
    cluster: "Cluster | None" = None,
    replaces: bool = False,
) -> list[Record]:
    """Run cells that are not yet in `directory`.

    Args:
        cells: what to run.
        directory: the run's directory, made where it is not there.
        display: told how the run goes on.
        request: what asked for the cells; it is stored with them.
        jobs: how many cells at once.
        timeout: seconds a cell, or None.
        memory_limit: bytes that a cell may hold resident, or None; see `ask`.
        memory_pass: whether peak memory is measured; also of records that are there and lack it, as theirs failed.
        keep: how a cell must have ended in an earlier run for it not to be run again.
        tuning: the searches that cells have their settings from, by the cells' keys; they go into the records.
        cluster: where cells run, with data and backends of its own; this machine if None.
        replaces: whether the plan takes the place of the one that the directory holds, as that of a tune which goes on;
            otherwise cells of that one without a record stay planned.

    Returns:
        A record for each cell, in order.

    Raises:
        ChangedError: what is in the directory and would stay there was made otherwise than now, or the software changed
            while the run went on.
        RbenchError: a cell cannot be run, or another process runs into the directory; nothing has been started.
    """
    check_directory(directory, "training")
    refuse_newer(directory)
    check(cells, here=cluster is None)
    data = {} if cluster else _data(cells, timeout, memory_limit)
    with locked(directory):
        look_again()
        try:
            found = find_records(directory, display.warn)
            before = earlier_plans(directory, display.warn)
            kept = _kept(cells, found, directory, display, keep, None if cluster else _sums(cells, data))
            todo = [cell for cell in cells if cell.key not in kept]
            display.start(len(todo), len(kept))
            without = {key: one for key, one in data.items() if one.status is not None}
            gates = {} if cluster else _gates([cell for cell in todo if cell.key not in without], display)
            cells_folder(directory).mkdir(exist_ok=True)
            keys = [cell.key for cell in cells]
            write_run_file(directory, request, keys, before=None if replaces else before, there=found)
        except OSError as error:
            raise RbenchError(
                f"cannot run into {directory}: {error.strerror}; name another directory with -o"
            ) from None
        limits: dict[str, Any] = {"timeout": timeout, "memory_limit": memory_limit, "memory_pass": memory_pass}

        make: Callable[[], LocalExecutor | ClusterExecutor]
        if cluster is None:
            checksums = {key: one.checksum for key, one in data.items()}
            local = partial(LocalExecutor, directory, jobs=jobs, progress=display.step, checksums=checksums, **limits)
            ready = [(cell, gates[_place(cell)]) for cell in todo if cell.key not in without]
            lost = [(cell, without[cell.key]) for cell in todo if cell.key in without]
            make, coming = local, _records(directory, local(), ready, lost)
        else:
            remote = partial(cluster.executor, directory, display, **limits)
            make, coming = remote, remote().run(todo)
        records = {key: _with_tuning(directory, record, tuning) for key, record in kept.items()}
        if memory_pass and (lacking := [record for record in records.values() if lacks_memory(record)]):
            display.warn(
                f"records without their peak memory, as its measurement failed: {len(lacking)}; it is tried again"
            )
            with closing(make().measure(lacking)) as measured:
                records |= {record.cell.key: record for record in measured}
        # Closed at once when a display is interrupted, so that no further cell starts.
        with closing(coming) as ended:
            for record in ended:
                records[record.cell.key] = _with_tuning(directory, record, tuning)
                display.end(records[record.cell.key])
        return [records[cell.key] for cell in cells]


def _kept(
    cells: Sequence[Cell],
    found: Mapping[str, Record],
    directory: Path,
    display: Display,
    keep: Collection[Status],
    data: Data | None,
) -> dict[str, Record]:
    """Records of an earlier run that stand for their cells, by key; where `data` is None, others check them."""
    wanted = {cell.key for cell in cells}
    kept = {key: record for key, record in found.items() if key in wanted and record.status in keep}
    others = [record for key, record in found.items() if key not in wanted]
    if data is not None:
        check_same(directory, [*kept.values(), *others], data)
    missing = wanted - set(kept)
    for threads in {cell.threads for cell in cells}:
        twins = [one.cell for one in others if one.cell.model_copy(update={"threads": threads}).key in missing]
        if twins:
            display.warn(
                f"{len(twins)} cells are there with --threads {twins[0].threads}, and are run with {threads} as cells "
                "of their own: time and rounding depend on it"
            )
    return kept


def _with_tuning(directory: Path, record: Record, tuning: Mapping[str, Tuned] | None) -> Record:
    """The record with the search that its settings come from, stored so."""
    search = (tuning or {}).get(record.cell.key)
    if search is None or record.tuning == search:
        return record
    return stored(directory, record.model_copy(update={"tuning": search}))


def _place(cell: Cell) -> tuple[str, str, str | None]:
    """What a gate is for."""
    return cell.backend, cell.dtype, cell.device


def _gates(cells: Sequence[Cell], display: Display) -> dict[tuple[str, str, str | None], Gate]:
    found = {}
    for place, cell in {_place(cell): cell for cell in cells}.items():
        found[place] = gate(*place, threads=cell.threads)
        display.gate(found[place])
    return found


def _data(cells: Sequence[Cell], timeout: float | None, memory_limit: int | None) -> dict[str, Found]:
    """What there is of each cell's data, by the cells' keys.

    Raises:
        DataError, SpecError: data that cells need cannot be used.
    """
    needs = wanted(cells)
    found = find_data(list(dict.fromkeys(needs.values())), timeout=timeout, memory_limit=memory_limit)
    for cell in {(cell.task, cell.method, cell.threads): cell for cell in cells}.values():
        one = found[needs[cell.key]]
        if one.status is None and cell.make_task().batch_size is None:
            check_batch(cell, one.n_train)
    return {key: found[need] for key, need in needs.items()}


def _sums(cells: Sequence[Cell], data: Mapping[str, Found]) -> Data:
    """The fingerprints of the data that were found."""
    return {(cell.task, cell.unofficial_data): data[cell.key].sha256 for cell in cells}


def _records(
    directory: Path,
    executor: LocalExecutor,
    cells: Sequence[tuple[Cell, Gate]],
    without_data: Sequence[tuple[Cell, Found]],
) -> Generator[Record]:
    """The records of all cells as they end; a backend that failed its gate is not timed."""
    for cell, data in without_data:
        record = Record(cell=cell, status=data.status or "crashed", reason=data.reason, environment=environment(cell))
        yield stored(directory, record)
    for cell, found in cells:
        if not found.passed:
            reason = f"not timed: {found}"
            yield stored(
                directory,
                Record(cell=cell, status="skipped", reason=reason, gate=found, environment=environment(cell)),
            )
    with closing(executor.run([(cell, found) for cell, found in cells if found.passed])) as ended:
        yield from ended
