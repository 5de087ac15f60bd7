"""The local executor: each cell in a fresh process, in a process group of its own."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from rbench.run.ask import ask
from rbench.run.cell import Budget, Cell
from rbench.run.gate import Gate
from rbench.run.memory import Peaks
from rbench.run.process import thread_variables
from rbench.run.record import Assignment, Record, Status, cells_folder, read_record, write_record

Progress = Callable[[Cell, int, int], None]


class LocalExecutor:
    """Runs cells on this machine, some at a time.

    Args:
        directory: the run's directory, for records and the workers' output.
        jobs: how many cells at once.
        timeout: seconds that a cell may take, or None.
        progress: called with a cell, the steps done and the steps to do, from any thread.
    """

    def __init__(self, directory: Path, *, jobs: int, timeout: float | None, progress: Progress) -> None:
        self._directory, self._jobs, self._timeout, self._progress = directory, jobs, timeout, progress
        self._running: set[subprocess.Popen[Any]] = set()
        self._peaks: dict[str, Peaks] = {}
        self._stopped = threading.Event()

    def run(self, cells: Sequence[tuple[Cell, Gate]]) -> Generator[Record]:
        """Run cells, each with its backend's gate, and yield their records as they end.

        Stopping early ends the processes that still run.
        """
        with self._pool() as pool:
            futures: list[Future[Record | None]] = [pool.submit(self._run_one, *one) for one in cells]
            for future in as_completed(futures):
                record = future.result()
                if record is not None:
                    yield record

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(self._jobs)
        try:
            yield pool
        finally:
            self._stopped.set()
            for process in list(self._running):
                _kill_group(process)
            pool.shutdown(cancel_futures=True)

    def _run_one(self, cell: Cell, gate: Gate) -> Record | None:
        """Run a cell; None where the run was stopped meanwhile."""
        if self._stopped.is_set():
            return None
        folder = cells_folder(self._directory)
        log = folder / f"{cell.key}.log"
        (folder / f"{cell.key}.json").unlink(missing_ok=True)
        environment = {**os.environ, **thread_variables(cell.threads)}
        peaks = self._memory_pass(cell)
        if self._stopped.is_set():
            return None
        with log.open("wb") as errors:
            process = subprocess.Popen(
                # -P: the worker imports what its parent does, not a checkout that it happens to stand in.
                [sys.executable, "-P", "-m", "rbench.run.worker", str(self._directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
        self._running.add(process)
        if self._stopped.is_set():  # between the check above and here
            _kill_group(process)
        late = threading.Event()

        def end() -> None:
            late.set()
            _kill_group(process)

        timer = threading.Timer(self._timeout or 0, end)
        if self._timeout is not None:
            timer.start()
        try:
            self._follow(Assignment(cell=cell, gate=gate, peaks=peaks), process)
        finally:
            timer.cancel()
            self._running.discard(process)
        if self._stopped.is_set():
            return None
        return self._result(cell, gate, process, late.is_set(), log)

    def _memory_pass(self, cell: Cell) -> Peaks:
        """Peaks of the cell's steps, measured once for all seeds and budgets; none where the pass fails."""
        likes = cell.model_copy(update={"seed": 0, "budget": Budget(steps=1), "suite": ""})
        if likes.key not in self._peaks:
            answer = ask(
                "rbench.run.memory_worker",
                likes.model_dump_json(),
                threads=cell.threads,
                timeout=self._timeout,
                among=self._running,
            )
            self._peaks[likes.key] = Peaks.model_validate_json(answer.text) if answer.reason is None else Peaks()
        return self._peaks[likes.key]

    def _follow(self, given: Assignment, process: subprocess.Popen[bytes]) -> None:
        """Hand the cell over and pass its progress on until it ends."""
        to_worker, from_worker = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        with from_worker:
            # A worker that died at once has closed the pipe; its exit status says how.
            with suppress(BrokenPipeError), to_worker:
                to_worker.write(given.model_dump_json().encode())
            for line in from_worker:
                step, _, total = line.partition(b" ")
                if step.isdigit() and total.strip().isdigit():
                    self._progress(given.cell, int(step), int(total))
        process.wait()

    def _result(self, cell: Cell, gate: Gate, process: subprocess.Popen[bytes], late: bool, log: Path) -> Record:
        """The record that the worker wrote, or one that says why there is none."""
        record = read_record(self._directory, cell)
        if record is None:
            status, reason = _how_it_ended(process.returncode, late, self._timeout, log)
            record = Record(cell=cell, status=status, reason=reason, gate=gate)
            write_record(self._directory, record)
        if log.exists() and not log.stat().st_size:
            log.unlink()
        return record


def _how_it_ended(code: int, late: bool, timeout: float | None, log: Path) -> tuple[Status, str]:
    if late:
        return "timeout", f"did not end within {timeout:g} s"
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the kernel does so when memory runs out" if name == "SIGKILL" else ""
        return "crashed", f"ended by signal {name}{hint}"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return "crashed", f"exit status {code}: {lines[-1] if lines else 'no output'}"


def _kill_group(process: subprocess.Popen[Any]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
