"""The local executor: runs cells on this machine, several at a time."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from rbench.experiment import Cell
from rbench.run.child_process import Stopped
from rbench.run.directory import WAY_OUT
from rbench.run.display import Display
from rbench.run.executor import Executor, Job, Queue
from rbench.run.machine import CellLimits, Machine
from rbench.run.provenance import environment
from rbench.run.record import Record, cells_folder, refused
from rbench.run.resume import ChangedError, Data, changed, stored

INTERVAL = 1.0
"""Seconds between two checks for a signal."""


class LocalExecutor(Executor):
    """Runs cells on this machine.

    Args:
        jobs: how many cells at once.
    """

    def __init__(self, jobs: int = 1) -> None:
        self._jobs = jobs
        self._machine = Machine(CellLimits())
        self._futures: set[Future[Record | None]] = set()

    def prepare_data(self, cells: Sequence[Cell], limits: CellLimits) -> Data:
        self._machine = Machine(limits)
        self._data = self._machine.find_data(cells)
        for cell in {(cell.data, cell.specs): cell for cell in cells if self._has_data(cell)}.values():
            cell.check_data(self._data[cell.key].n_train)
        return {cell.data: self._data[cell.key].sha256 for cell in cells if cell.data is not None}

    def prepare(self, cells: Sequence[Cell], display: Display) -> None:
        wanted = [cell for cell in cells if cell.data is None or self._has_data(cell)]
        for cell in {(cell.backend, cell.dtype, cell.device): cell for cell in wanted}.values():
            display.gate(self._machine.gate(cell))

    @contextmanager
    def _running(self, job: Job, queue: Queue) -> Iterator[None]:
        for cell in queue.waiting:
            environment(cell)  # cached: records are compared with it
        self._job = job
        self._stopped = threading.Event()
        self._workers = ThreadPoolExecutor(self._jobs)
        try:
            yield
        finally:
            self._stopped.set()
            self._workers.shutdown(cancel_futures=True)
            self._futures.clear()

    def _has_room(self) -> bool:
        return len(self._futures) < self._jobs

    def _is_busy(self) -> bool:
        return bool(self._futures)

    def _submit(self, cell: Cell, lacking: Record | None) -> None:
        self._futures.add(self._workers.submit(self._record, cell, lacking))

    def _ended(self) -> Iterable[Record]:
        # Signals are handled in this thread, and only while it is not waiting.
        done, self._futures = wait(self._futures, timeout=INTERVAL, return_when=FIRST_COMPLETED)
        return [record for future in done if (record := future.result()) is not None]

    def _refused(self, cell: Cell, reason: str) -> Record:
        return refused(cell, reason, self._machine.gate(cell), environment(cell))

    def _has_data(self, cell: Cell) -> bool:
        return cell.key in self._data and self._data[cell.key].status is None

    def _record(self, cell: Cell, lacking: Record | None) -> Record | None:
        """The stored record of a cell; None where the run was stopped meanwhile."""
        if self._stopped.is_set():
            return None
        directory, display, _ = self._job
        try:
            if lacking is None:
                record = self._machine.run(cell, cells_folder(directory), display.step, self._stopped)
            else:
                record = self._machine.measure_memory(lacking, self._stopped)
        except Stopped:
            return None
        if changes := changed(record, {}):
            raise ChangedError(
                f"{directory}: the software changed during the run (new → at its start: "
                f"{'; '.join(changes)}); earlier records are kept: undo the change and go on, or {WAY_OUT}"
            )
        return stored(directory, record)
