"""The cluster executor: runs cells on many machines, one at a time on each worker of a Dask scheduler."""

import importlib.util
import json
import logging
import uuid
from asyncio import CancelledError
from collections import defaultdict, deque
from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from time import monotonic, sleep
from types import TracebackType
from typing import Any

from rbench.errors import RbenchError
from rbench.experiment import Cell
from rbench.run.cluster.address import check_answer, secured, unreachable
from rbench.run.cluster.consistency import Consistency
from rbench.run.cluster.security import Certificates
from rbench.run.cluster.worker import Introduction, Order, Result, introduce, topic, work
from rbench.run.display import Display
from rbench.run.record import Record, cells_folder, plain, refused
from rbench.run.resume import stored
from rbench.run.series import Series
from rbench.settings import at_level

CONNECT_SECONDS = 10.0
"""Longest time until a scheduler answers."""

QUIET = ("distributed.client", "distributed.core", "distributed.comm.tcp")
"""Dask's loggers that may have their own levels."""

GRACE_SECONDS = 3.0
"""A worker that the scheduler has not known for this long is gone."""

INTERVAL = 0.1
"""Seconds between two checks of the cluster."""

RESULT_SECONDS = 30.0
"""Longest time to transfer a finished result."""


class Cluster:
    """A Dask scheduler whose workers run cells; connected while its `with` block runs.

    Start one worker per machine, with rbench installed as here: two on a machine disturb each other's times.

    Whoever reaches a scheduler without TLS can run code on its workers: see `docs/clusters.md`.

    Args:
        scheduler: its address, such as `tcp://10.0.0.1:8786`, or `tls://10.0.0.1:8786` for one with TLS.
        retries: how often a cell whose worker is lost is run again.
        certificates: for `tls://`; those of Dask's own configuration if None.
    """

    def __init__(self, scheduler: str, *, retries: int = 2, certificates: Certificates | None = None) -> None:
        self.scheduler, self.retries, self.certificates = scheduler, retries, certificates
        self.client: Any = None
        self._ending = ExitStack()

    @property
    def worker_words(self) -> str:
        """Options of a worker's command for its own certificates."""
        tls = self.scheduler.startswith("tls://")
        return " --tls-ca-file CA.pem --tls-cert CERT.pem --tls-key KEY.pem" if tls else ""

    def __enter__(self) -> "Cluster":
        """Connect.

        Raises:
            RbenchError: Dask is not installed, the address is invalid, certificates are missing or unusable, or no
                scheduler answers.
        """
        if importlib.util.find_spec("distributed") is None:
            raise RbenchError(
                "--executor dask needs the package 'distributed'; install it with: pip install 'rbench[dask]'"
            )
        security = secured(self.scheduler, self.certificates)
        from distributed import Client

        loggers = [logging.getLogger(name) for name in ("distributed", *QUIET)]
        with self._ending as ending:
            ending.enter_context(at_level(logging.CRITICAL, *loggers))  # the run itself says what goes wrong
            check_answer(self.scheduler, security, CONNECT_SECONDS)
            try:
                self.client = Client(  # type: ignore[no-untyped-call, unused-ignore]
                    self.scheduler, timeout=CONNECT_SECONDS, set_as_default=False, security=security
                )
            except (OSError, ValueError) as error:
                raise unreachable(self.scheduler, error) from None
            ending.callback(self.client.close)
            self._ending = ending.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def executor(
        self,
        directory: Path,
        display: "Display",
        *,
        timeout: float | None = None,
        memory_limit: int | None = None,
        memory_pass: bool = True,
    ) -> "ClusterExecutor":
        """An executor that runs cells into a directory.

        Args:
            directory: the run's directory, for records and cells' output.
            display: shows steps, gates, and warnings about workers.
            timeout: seconds that a cell may take, or None.
            memory_limit: bytes that a cell may hold resident, or None.
            memory_pass: whether peak memory is measured.
        """
        limits = {"timeout": timeout, "memory_limit": memory_limit, "memory_pass": memory_pass}
        return ClusterExecutor(self, directory, display, limits)


@dataclass
class _Worker:
    """A worker.

    Attributes:
        address: its address at the scheduler.
        name: the address, and the host where it is known.
        future: of its introduction, or of its cell; None while it has nothing to do.
        host: its machine; None until it may take cells.
        cell: what it runs.
        missing: since when the scheduler does not know it; None while it does.
    """

    address: str
    name: str
    future: Any
    host: str | None = None
    cell: Cell | None = None
    missing: float | None = None


class ClusterExecutor:
    """Runs cells on the workers of a cluster; `Cluster.executor` makes it.

    It assigns cells to workers itself, so that no worker has two at a time, however many threads it has. Gates, data
    and backends are the workers'; records are stored here.
    """

    def __init__(self, cluster: Cluster, directory: Path, display: "Display", limits: dict[str, Any]) -> None:
        self._cluster, self._directory, self._display, self._limits = cluster, directory, display, limits
        self._run = uuid.uuid4().hex
        self._workers: dict[str, _Worker] = {}
        self._refusals: dict[str, str] = {}
        self._queue: deque[Cell] = deque()
        self._lacking: dict[Cell, Record] = {}
        self._losses: defaultdict[Cell, list[str]] = defaultdict(list)
        self._ended: deque[Record] = deque()
        self._steps: SimpleQueue[tuple[str, int, int]] = SimpleQueue()
        self._gates: set[str] = set()
        self._waiting = False

    def run(self, cells: Sequence[Cell], lacking: Sequence[Record], series: Series) -> Generator[Record]:
        """Run cells, and yield each record once it is stored; gates are the workers' own.

        Stopping early ends the cells that still run.

        Args:
            cells: what to run.
            lacking: records that lack only their peak memory, which is measured before the cells run; yielded too.
            series: decides which cells wait for others, and which must not run.

        Raises:
            ChangedError: a worker's software or data changed during the run.
            RbenchError: no worker can run the cells, or the scheduler went away.
        """
        self._lacking = {record.cell: record for record in lacking}
        self._series = series
        self._queue.extend([*self._lacking, *cells])
        if not self._queue:
            return
        self._consistency = Consistency(self._directory, self._queue, keep={cell.key for cell in self._lacking})
        client = self._cluster.client
        client.subscribe_topic(topic(self._run), lambda event: self._steps.put(event[1]))
        try:
            while self._queue or self._ended or any(worker.cell for worker in self._workers.values()):
                self._look_for_workers()
                for worker in list(self._workers.values()):
                    if worker.future is not None and worker.future.done():
                        self._take(worker)
                self._dispatch()
                self._show_steps()
                while self._ended:
                    record = self._ended.popleft()
                    series.note(record)
                    yield stored(self._directory, record)
                sleep(INTERVAL)
        finally:
            with suppress(OSError):
                client.cancel([worker.future for worker in self._workers.values() if worker.future is not None])

    def _look_for_workers(self) -> None:
        """Have new workers introduce themselves, and give up those that are gone."""
        try:
            there = set(self._cluster.client.nthreads())
        except OSError as error:
            raise RbenchError(
                f"the scheduler {self._cluster.scheduler} went away: {error}; what ended is stored: start it again, "
                f"and the same command with -o {self._directory}, without --force, goes on"
            ) from None
        for address in there - self._workers.keys():
            asked = self._submit(address, introduce, self._run, *self._consistency.question)
            self._workers[address] = _Worker(address, address, asked)
        now = monotonic()
        for worker in list(self._workers.values()):
            worker.missing = None if worker.address in there else worker.missing or now
            if worker.missing is not None and now - worker.missing > GRACE_SECONDS:
                self._lose(worker, "it went away")
        self._check_workers()

    def _check_workers(self) -> None:
        """Warn where no worker is available.

        Raises:
            RbenchError: there are workers, and none may take part.
        """
        if any(worker.future is not None or worker.host for worker in self._workers.values()):
            self._waiting = False
        elif self._refusals and not self._consistency.set:
            raise RbenchError(
                "no worker can run these cells:\n"
                + "\n".join(f"  worker {name}: {reason}" for name, reason in self._refusals.items())
            )
        elif not self._waiting:
            self._waiting = True
            self._display.warn(
                f"no worker to run {len(self._queue)} cells: waiting for one; start it with: "
                f"dask worker {self._cluster.scheduler} --nthreads 1 --no-nanny{self._cluster.worker_words}"
            )

    def _dispatch(self) -> None:
        for worker in self._workers.values():
            if worker.host and worker.future is None and worker.missing is None and (cell := self._next()) is not None:
                worker.cell = cell
                lacking = self._lacking.get(worker.cell)
                order = Order(run=self._run, cell=worker.cell, lacking=lacking, **self._limits)
                worker.future = self._submit(worker.address, work, json.dumps(plain(order.model_dump())))

    def _next(self) -> Cell | None:
        """The next cell that may run now, taken from the queue; those that must not run end."""
        while (cell := self._series.first_ready(self._queue)) is not None:
            self._queue.remove(cell)
            reason = None if cell in self._lacking else self._series.refusal(cell)
            if reason is None:
                return cell
            record = refused(cell, reason, None, self._consistency.environment(cell))
            self._series.note(record)
            self._ended.append(record)
        return None

    def _submit(self, address: str, function: Any, *arguments: str) -> Any:
        return self._cluster.client.submit(
            function, *arguments, workers=[address], allow_other_workers=False, pure=False, retries=0
        )

    def _take(self, worker: _Worker) -> None:
        """Handle the result of a worker's introduction or cell."""
        try:
            text = worker.future.result(timeout=RESULT_SECONDS)
        except (Exception, CancelledError) as error:
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
            if worker.cell is None and worker.future.status == "error":
                worker.future = None
                self._refuse(
                    worker, f"it cannot introduce itself: {why}; install rbench as here for scheduler and workers"
                )
            else:
                self._lose(worker, why)
            return
        cell, worker.future, worker.cell = worker.cell, None, None
        if cell is None:
            self._accept(worker, Introduction.model_validate_json(text))
        else:
            self._receive(worker, Result.model_validate_json(text))

    def _accept(self, worker: _Worker, found: Introduction) -> None:
        """Let a worker take cells, or refuse it."""
        worker.name = f"{worker.address} on {found.host}"
        reason = self._consistency.refusal(found)
        if reason is not None:
            self._refuse(worker, reason)
            return
        worker.host = found.host
        if sum(other.host == found.host for other in self._workers.values()) == 2:
            self._display.warn(f"several workers on {found.host} disturb each other's times; start one per machine")

    def _refuse(self, worker: _Worker, reason: str) -> None:
        self._refusals[worker.name] = reason
        self._display.warn(f"worker {worker.name} is given no cells: {reason}")

    def _receive(self, worker: _Worker, found: Result) -> None:
        record = self._consistency.checked_data(found.record)
        self._consistency.check(record)
        if record.cell in self._lacking:
            self._ended.append(record)
            return
        record.provenance["worker"] = worker.name
        if record.gate is not None and str(record.gate) not in self._gates:
            self._gates.add(str(record.gate))
            self._display.gate(record.gate)
        log = cells_folder(self._directory) / f"{record.cell.key}.log"
        with suppress(OSError):  # the disk is full; storing the record will say so
            log.unlink(missing_ok=True)
            if found.log:
                log.write_text(found.log)
        self._ended.append(record)

    def _lose(self, worker: _Worker, why: str) -> None:
        """Forget a worker, which is asked again if it still exists, and queue its cell again, or end the cell."""
        with suppress(OSError):
            self._cluster.client.cancel([worker.future])
        del self._workers[worker.address]
        if worker.cell is None:
            return
        losses = self._losses[worker.cell]
        losses.append(f"worker {worker.name}: {why}")
        if len(losses) <= self._cluster.retries:
            self._display.warn(f"{worker.cell.key} is queued again: {losses[-1]}")
            self._queue.append(worker.cell)
            return
        reason = f"tried {len(losses)} times without a record: {'; '.join(losses)}"
        if (lacking := self._lacking.get(worker.cell)) is not None:
            changes = {"memory_status": "crashed", "memory_reason": reason}
            self._ended.append(lacking.model_copy(update=changes))
            return
        environment = self._consistency.environment(worker.cell)
        self._ended.append(Record(cell=worker.cell, status="crashed", reason=reason, environment=environment))

    def _show_steps(self) -> None:
        running = {worker.cell.key: worker.cell for worker in self._workers.values() if worker.cell}
        while not self._steps.empty():
            key, done, total = self._steps.get()
            if key in running:
                self._display.step(running[key], done, total)
