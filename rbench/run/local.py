"""Cells on this machine: data and gates come first, and cells that cannot run get their records."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rbench.experiment import Cell
from rbench.run.data import Found, find_data, wanted
from rbench.run.display import Display
from rbench.run.executor import LocalExecutor
from rbench.run.gate import Gate, gate
from rbench.run.provenance import environment
from rbench.run.record import Record, refused
from rbench.run.resume import stored
from rbench.run.series import Series
from rbench.run.suite import Platform


def data_of(
    cells: Sequence[Cell], *, timeout: float | None = None, memory_limit: int | None = None
) -> dict[str, Found]:
    """Find and check the data of cells, by the cells' keys.

    Raises:
        DataError, SpecError: data that cells need cannot be used, or a method cannot train on all of them at once.
    """
    needs = wanted(cells)
    found = find_data(list(dict.fromkeys(needs.values())), timeout=timeout, memory_limit=memory_limit)
    for cell in {(needs[cell.key], cell.specs): cell for cell in cells if cell.key in needs}.values():
        data = found[needs[cell.key]]
        if data.status is None:
            cell.check_data(data.n_train)
    return {key: found[need] for key, need in needs.items()}


class Local:
    """Runs the cells on this machine whose data are available and whose backends pass the gate.

    Args:
        directory: the run's directory.
        display: shows gates and steps.
        cells: what is to run; the gates of their backends are computed at once.
        data: what `data_of` found, by the cells' keys.
        jobs: how many cells at once.
        timeout: seconds that a cell may take, or None.
        memory_limit: bytes that a cell may hold resident, or None.
        memory_pass: whether peak memory is measured.

    Raises:
        BackendError: a backend cannot run here.
    """

    def __init__(
        self,
        directory: Path,
        display: Display,
        cells: Sequence[Cell],
        data: Mapping[str, Found],
        *,
        jobs: int,
        timeout: float | None = None,
        memory_limit: int | None = None,
        memory_pass: bool = True,
    ) -> None:
        self._directory, self._data = directory, data
        self._gates: dict[Platform, Gate] = {}
        for platform, cell in {_platform(cell): cell for cell in cells if _data_there(cell, data)}.items():
            self._gates[platform] = gate(*platform, threads=cell.threads)
            display.gate(self._gates[platform])
        self._executor = LocalExecutor(
            directory,
            jobs=jobs,
            progress=display.step,
            timeout=timeout,
            memory_limit=memory_limit,
            memory_pass=memory_pass,
            checksums={key: found.checksum for key, found in data.items()},
        )

    def run(self, cells: Sequence[Cell], lacking: Sequence[Record], series: Series) -> Generator[Record]:
        """Run cells, measure missing peak memory, and yield all stored records, as `LocalExecutor.run` does."""
        ready = []
        for cell in cells:
            if (record := self._refused(cell)) is not None:
                series.note(record)
                yield stored(self._directory, record)
            else:
                ready.append((cell, self._gates[_platform(cell)]))
        with closing(self._executor.run(ready, lacking, series)) as ended:
            yield from ended

    def _refused(self, cell: Cell) -> Record | None:
        """The record of a cell without data, or whose backend failed its gate; None where it can run."""
        data = self._data.get(cell.key)
        if data is not None and data.status is not None:
            return Record(cell=cell, status=data.status, reason=data.reason, environment=environment(cell))
        found = self._gates[_platform(cell)]
        if found.passed:
            return None
        return refused(cell, f"not timed: {found}", found, environment(cell))


def _data_there(cell: Cell, data: Mapping[str, Found]) -> bool:
    return cell.key not in data or data[cell.key].status is None


def _platform(cell: Cell) -> Platform:
    return cell.backend, cell.dtype, cell.device
