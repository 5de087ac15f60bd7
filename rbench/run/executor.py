"""The local executor: runs cells on this machine, several at a time, each in isolation."""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from typing import Any

from rbench.experiment import Cell
from rbench.run.child_process import Stopped
from rbench.run.directory import WAY_OUT
from rbench.run.gate import Gate
from rbench.run.isolate import Progress, run_isolated
from rbench.run.memory_pass import with_memory
from rbench.run.provenance import environment
from rbench.run.record import Record, cells_folder, refused
from rbench.run.resume import ChangedError, changed, stored
from rbench.run.series import Series
from rbench.train.memory import Peaks

# How often the parent checks for a signal.
LOOK_SECONDS = 1.0


class LocalExecutor:
    """Runs cells on this machine, several at a time.

    Args:
        directory: the run's directory, for records and the workers' output.
        jobs: how many cells at once.
        progress: called with a cell, the steps done and the steps to do, from any thread.
        timeout: seconds that a cell may take, or None.
        memory_limit: bytes that a cell may hold resident, or None.
        memory_pass: whether peak memory is measured.
        checksums: required of cells' data, by cell key.
    """

    def __init__(
        self,
        directory: Path,
        *,
        jobs: int,
        progress: Progress,
        timeout: float | None = None,
        memory_limit: int | None = None,
        memory_pass: bool = True,
        checksums: Mapping[str, str] | None = None,
    ) -> None:
        self._directory, self._jobs, self._progress = directory, jobs, progress
        self._limits: dict[str, Any] = {"timeout": timeout, "memory_limit": memory_limit}
        self._peaks: dict[str, Peaks] | None = {} if memory_pass else None
        self._checksums = checksums or {}
        self._stopped = threading.Event()

    def run(self, cells: Sequence[tuple[Cell, Gate]], lacking: Sequence[Record], series: Series) -> Generator[Record]:
        """Run cells, each with its backend's gate, and yield each record once it is stored.

        Stopping early ends the processes that still run.

        Args:
            cells: what to run.
            lacking: records that lack only their peak memory, which is measured before the cells run; yielded too.
            series: decides which cells wait for others, and which must not run.

        Raises:
            ChangedError: the software changed during the run; records made with the new one are not stored.
        """
        for cell in (*(record.cell for record in lacking), *(cell for cell, _ in cells)):
            environment(cell)  # cached: records are compared with it
        with self._pool() as pool:
            futures = {pool.submit(self._one, self._measured, record) for record in lacking}
            waiting = list(cells)
            while waiting or futures:
                is_ready = [series.is_ready(cell) for cell, _ in waiting]
                ready = list(compress(waiting, is_ready))
                waiting = [one for one, now in zip(waiting, is_ready, strict=True) if not now]
                for cell, gate in ready:
                    if (reason := series.refusal(cell)) is None:
                        futures.add(pool.submit(self._one, self._ran, cell, gate))
                        continue
                    series.note(skipped := refused(cell, reason, gate, environment(cell)))
                    yield stored(self._directory, skipped)
                if ready and not futures:
                    continue
                # Signals are handled in this thread, and only while it is not waiting.
                done, futures = wait(futures, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    record = future.result()
                    if record is not None:
                        series.note(record)
                        yield record

    def _ran(self, cell: Cell, gate: Gate) -> Record:
        return run_isolated(
            cell,
            gate,
            cells_folder(self._directory),
            checksum=self._checksums.get(cell.key),
            peaks=self._peaks,
            progress=self._progress,
            stop=self._stopped,
            **self._limits,
        )

    def _measured(self, record: Record) -> Record:
        return with_memory(record, {} if self._peaks is None else self._peaks, stop=self._stopped, **self._limits)

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(self._jobs)
        self._stopped = threading.Event()
        try:
            yield pool
        finally:
            self._stopped.set()
            pool.shutdown(cancel_futures=True)

    def _one(self, function: Callable[..., Record], *arguments: Any) -> Record | None:
        """Store and return the function's record; None where the run was stopped meanwhile."""
        if self._stopped.is_set():
            return None
        try:
            record = function(*arguments)
        except Stopped:
            return None
        if changes := changed(record, {}):
            raise ChangedError(
                f"{self._directory}: the software changed during the run (new → at its start: "
                f"{'; '.join(changes)}); earlier records are kept: undo the change and go on, or {WAY_OUT}"
            )
        return stored(self._directory, record)
