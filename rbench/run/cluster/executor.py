"""The cluster executor: runs cells on many machines, one at a time on each worker of a Dask scheduler."""

import json
import uuid
from asyncio import CancelledError
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from time import monotonic, sleep
from typing import Any, ClassVar, Self

from rbench.errors import RbenchError
from rbench.experiment import Cell
from rbench.plugins import plugins
from rbench.run.cluster.connection import connected
from rbench.run.cluster.consistency import Consistency
from rbench.run.cluster.security import Certificates
from rbench.run.cluster.worker import Introduction, Order, Result, introduce, topic, work
from rbench.run.executor import Executor, Job, Queue
from rbench.run.record import Record, cells_folder, plain, refused
from rbench.run.resume import Data, stored

GRACE_SECONDS = 3.0
"""A worker that the scheduler has not known for this long is gone."""

INTERVAL = 0.1
"""Seconds between two checks of the cluster."""

RESULT_SECONDS = 30.0
"""Longest time to transfer a finished result."""


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


class ClusterExecutor(Executor):
    """Runs cells on the workers of a Dask scheduler, to which it is connected while its `with` block runs.

    Start one worker per machine, with rbench installed as here: two on a machine disturb each other's times. It assigns
    cells to workers itself, so that no worker has two at a time, however many threads it has. Gates, data and backends
    are the workers'; records are stored here. Whoever reaches a scheduler without TLS can run code on its workers: see
    `docs/clusters.md`.

    Args:
        scheduler: its address, such as `tcp://10.0.0.1:8786`, or `tls://10.0.0.1:8786` for one with TLS.
        retries: how often a cell whose worker is lost is run again.
        certificates: for `tls://`; those of Dask's own configuration if None.
    """

    here: ClassVar[bool] = False

    def __init__(self, scheduler: str, *, retries: int = 2, certificates: Certificates | None = None) -> None:
        self._scheduler = scheduler
        self._retries = retries
        self._certificates = certificates
        self._connection = ExitStack()
        self._run = uuid.uuid4().hex
        self._workers: dict[str, _Worker] = {}
        self._refusals: dict[str, str] = {}
        self._losses: defaultdict[Cell, list[str]] = defaultdict(list)
        self._records: list[Record] = []
        self._steps: SimpleQueue[tuple[str, int, int]] = SimpleQueue()
        self._gates: set[str] = set()
        self._waiting = False

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            RbenchError: Dask is not installed, the address is invalid, certificates are missing or unusable, or no
                scheduler answers.
        """
        self._client = self._connection.enter_context(connected(self._scheduler, self._certificates))
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def check_same(self, directory: Path, records: Sequence[Record], data: Data) -> None:
        """Leave the check to `Consistency`: what a record is compared with is the first worker."""

    @contextmanager
    def _running(self, job: Job, queue: Queue) -> Iterator[None]:
        self._job = job
        self._queue = queue
        self._consistency = Consistency(job.directory, queue.waiting, keep={cell.key for cell in queue.lacking})
        self._client.subscribe_topic(topic(self._run), lambda event: self._steps.put(event[1]))
        try:
            yield
        finally:
            with suppress(OSError):
                self._client.cancel([worker.future for worker in self._workers.values() if worker.future is not None])

    def _has_room(self) -> bool:
        return self._idle() is not None

    def _idle(self) -> _Worker | None:
        idle = (one for one in self._workers.values() if one.host and one.future is None and one.missing is None)
        return next(idle, None)

    def _is_busy(self) -> bool:
        return bool(self._records) or any(worker.cell for worker in self._workers.values())

    def _submit(self, cell: Cell, lacking: Record | None) -> None:
        worker = self._idle()
        assert worker is not None
        worker.cell = cell
        order = Order(cell=cell, lacking=lacking)
        worker.future = self._ask(worker.address, work, self._run, json.dumps(plain(order.model_dump())))

    def _ended(self) -> Iterable[Record]:
        sleep(INTERVAL)
        self._look_for_workers()
        for worker in list(self._workers.values()):
            if worker.future is not None and worker.future.done():
                self._take(worker)
        self._show_steps()
        records = [stored(self._job.directory, record) for record in self._records]
        self._records.clear()
        return records

    def _refused(self, cell: Cell, reason: str) -> Record:
        return refused(cell, reason, None, self._consistency.environment(cell))

    def _look_for_workers(self) -> None:
        """Have new workers introduce themselves, and give up those that are gone."""
        try:
            there = set(self._client.nthreads())
        except OSError as error:
            raise RbenchError(
                f"the scheduler {self._scheduler} went away: {error}; what ended is stored: start it again, "
                f"and the same run into {self._job.directory}, without `force`, goes on"
            ) from None
        limits = self._job.limits.model_dump_json()
        files = json.dumps({file.name: file.source for file in plugins().files.values()})
        for address in there - self._workers.keys():
            asked = self._ask(address, introduce, self._run, limits, files, *self._consistency.question)
            self._workers[address] = _Worker(address, address, asked)
        now = monotonic()
        for worker in list(self._workers.values()):
            worker.missing = None if worker.address in there else worker.missing or now
            if worker.missing is not None and now - worker.missing > GRACE_SECONDS:
                self._lose(worker, "it went away")
        self._check_workers()

    @property
    def _worker_words(self) -> str:
        """Options of a worker's command for its own certificates."""
        tls = self._scheduler.startswith("tls://")
        return " --tls-ca-file CA.pem --tls-cert CERT.pem --tls-key KEY.pem" if tls else ""

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
            self._job.display.warn(
                f"no worker to run {len(self._queue.waiting)} cells: waiting for one; start it with: "
                f"dask worker {self._scheduler} --nthreads 1 --no-nanny{self._worker_words}"
            )

    def _ask(self, address: str, function: Any, *arguments: str) -> Any:
        return self._client.submit(
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
        cell = worker.cell
        worker.future = None
        worker.cell = None
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
            self._job.display.warn(f"several workers on {found.host} disturb each other's times; start one per machine")

    def _refuse(self, worker: _Worker, reason: str) -> None:
        self._refusals[worker.name] = reason
        self._job.display.warn(f"worker {worker.name} is given no cells: {reason}")

    def _receive(self, worker: _Worker, found: Result) -> None:
        record = self._consistency.checked_data(found.record)
        self._consistency.check(record)
        if record.cell in self._queue.lacking:
            self._records.append(record)
            return
        record.provenance["worker"] = worker.name
        if record.gate is not None and str(record.gate) not in self._gates:
            self._gates.add(str(record.gate))
            self._job.display.gate(record.gate)
        log = cells_folder(self._job.directory) / f"{record.cell.key}.log"
        with suppress(OSError):  # the disk is full; storing the record will say so
            log.unlink(missing_ok=True)
            if found.log:
                log.write_text(found.log)
        self._records.append(record)

    def _lose(self, worker: _Worker, why: str) -> None:
        """Forget a worker, which is asked again if it still exists, and queue its cell again, or end the cell."""
        with suppress(OSError):
            self._client.cancel([worker.future])
        del self._workers[worker.address]
        if worker.cell is None:
            return
        losses = self._losses[worker.cell]
        losses.append(f"worker {worker.name}: {why}")
        if len(losses) <= self._retries:
            self._job.display.warn(f"{worker.cell.key} is queued again: {losses[-1]}")
            self._queue.waiting.append(worker.cell)
            return
        reason = f"tried {len(losses)} times without a record: {'; '.join(losses)}"
        if (lacking := self._queue.lacking.get(worker.cell)) is not None:
            changes = {"memory_status": "crashed", "memory_reason": reason}
            self._records.append(lacking.model_copy(update=changes))
            return
        environment = self._consistency.environment(worker.cell)
        self._records.append(Record(cell=worker.cell, status="crashed", reason=reason, environment=environment))

    def _show_steps(self) -> None:
        running = {worker.cell.key: worker.cell for worker in self._workers.values() if worker.cell}
        while not self._steps.empty():
            key, done, total = self._steps.get()
            if key in running:
                self._job.display.step(running[key], done, total)
