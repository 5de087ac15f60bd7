"""Executors: where the cells of a run are run, and in which order."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from rbench.experiment import Cell
from rbench.run.display import Display
from rbench.run.machine import CellLimits
from rbench.run.provenance import environment
from rbench.run.record import Record, refused
from rbench.run.resume import Data, check_same, stored
from rbench.run.series import Series


class Job(NamedTuple):
    """What all cells of a run have in common.

    Attributes:
        directory: of the run, for records and the output of cells' processes.
        display: shows gates, steps and warnings.
        limits: of every cell.
    """

    directory: Path
    display: Display
    limits: CellLimits


class Queue:
    """Cells that wait: those whose record lacks only its peak memory, then those to run, each series in order.

    Args:
        cells: to run.
        lacking: records that lack only their peak memory.
        series: decides which cells wait for others, and which must not run.
    """

    def __init__(self, cells: Iterable[Cell], lacking: Iterable[Record], series: Series) -> None:
        self.lacking = {record.cell: record for record in lacking}
        self.waiting = [*self.lacking, *cells]
        self._series = series

    def next(self) -> tuple[Cell | None, str | None]:
        """The next cell that need not wait, or None; and the reason where it must not run, or None."""
        cell = next((cell for cell in self.waiting if self._series.is_ready(cell)), None)
        if cell is None:
            return None, None
        self.waiting.remove(cell)
        return cell, None if cell in self.lacking else self._series.refusal(cell)


class Executor(ABC):
    """Runs cells, each in isolation and behind the equivalence gate of its backend.

    A `with` block holds what the executor needs; `prepare_data`, `check_same`, `prepare` and `run` are then called in
    this order. By default cells run where this process does.

    Attributes:
        here: whether cells run on this machine, whose backends, cores and memory are then known beforehand.
    """

    here: ClassVar[bool] = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def prepare_data(self, cells: Sequence[Cell], limits: CellLimits) -> Data:
        """Find and check the data of cells; returns the fingerprints that are then known.

        Raises:
            DataError, SpecError: data cannot be used, or a method cannot train on all of them at once.
        """
        return {}

    def check_same(self, directory: Path, records: Sequence[Record], data: Data) -> None:
        """Raise a `ChangedError` where stored records were made differently than new ones would be."""
        check_same(directory, records, data)

    def prepare(self, cells: Sequence[Cell], display: Display) -> None:
        """Compute the gates of the cells' backends.

        Raises:
            BackendError: a backend cannot run.
        """
        return None

    def run(self, job: Job, cells: Sequence[Cell], lacking: Sequence[Record], series: Series) -> Generator[Record]:
        """Run cells, and yield each record once it is stored.

        Stopping early ends the cells that still run.

        Args:
            job: the run.
            cells: what to run.
            lacking: records that lack only their peak memory, which is measured before the cells run; yielded too.
            series: decides which cells wait for others, and which must not run.

        Raises:
            ChangedError: software or data changed during the run; records made with the new ones are not stored.
            RbenchError: the cells cannot be run.
        """
        queue = Queue(cells, lacking, series)
        if not queue.waiting:
            return
        with self._running(job, queue):
            while queue.waiting or self._is_busy():
                cell, reason = queue.next() if self._has_room() else (None, None)
                if cell is not None and reason is None:
                    self._submit(cell, queue.lacking.get(cell))
                    continue
                ended = self._ended() if cell is None else [stored(job.directory, self._refused(cell, str(reason)))]
                for record in ended:
                    series.note(record)
                    yield record

    @abstractmethod
    def _running(self, job: Job, queue: Queue) -> AbstractContextManager[None]:
        """A block in which cells are submitted; it ends those that still run."""

    @abstractmethod
    def _has_room(self) -> bool:
        """Whether another cell may start now."""

    @abstractmethod
    def _is_busy(self) -> bool:
        """Whether cells run, or have ended and were not returned."""

    @abstractmethod
    def _submit(self, cell: Cell, lacking: Record | None) -> None:
        """Start a cell, or the memory pass of a record that lacks only that."""

    @abstractmethod
    def _ended(self) -> Iterable[Record]:
        """Wait a little, and return the records of cells that have ended, which are stored."""

    def _refused(self, cell: Cell, reason: str) -> Record:
        """The record of a cell that must not run."""
        return refused(cell, reason, None, environment(cell))
