"""One cell in isolation: whatever it does to its process, it has a record."""

import json
import threading
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from rbench.experiment import Cell, MemoryCell
from rbench.run.child_process import Answer, run_child
from rbench.run.gate import Gate
from rbench.run.memory_pass import with_memory
from rbench.run.provenance import environment
from rbench.run.record import FINAL, Assignment, Record
from rbench.train.memory import Peaks

Progress: TypeAlias = Callable[[Cell, int, int], None]


def run_isolated(
    cell: Cell,
    gate: Gate | None,
    folder: Path,
    *,
    timeout: float | None = None,
    memory_limit: int | None = None,
    checksum: str | None = None,
    peaks: MutableMapping[str, Peaks] | None = None,
    progress: Progress = lambda cell, done, total: None,
    stop: threading.Event | None = None,
) -> Record:
    """Run a cell in a fresh process of its own process group, and then its memory pass in another.

    Only the process's output is stored: the record comes back over a pipe, so that an orphaned process stores nothing.
    A method that segfaults, raises, hangs, fills the memory or the disk, or is killed gives a
    record with status and reason.

    Args:
        cell: what to run.
        gate: for the record.
        folder: for the process's output, `KEY.log`, which is removed if empty; it need not be the run's.
        timeout: seconds for each of the processes, or None.
        memory_limit: bytes that each may hold resident, as `run_child` counts them, or None.
        checksum: required of the cell's data, or None.
        peaks: of steps measured so far, as `with_memory` takes them. None: no memory pass.
        progress: called with the cell, the steps done and the steps to do.
        stop: ends the cell when set.

    Raises:
        Stopped: `stop` was set.
    """

    def heard(line: bytes) -> None:
        step, _, total = line.partition(b" ")
        if step.isdigit() and total.isdigit():
            progress(cell, int(step), int(total))

    log = folder / f"{cell.key}.log"
    answer = run_child(
        "rbench.run.worker",
        Assignment(cell=cell, gate=gate, memory_limit=memory_limit, checksum=checksum).model_dump_json(),
        threads=cell.threads,
        timeout=cell.longest_seconds if timeout is None else timeout,
        memory_limit=memory_limit,
        log=log,
        heard=heard,
        stop=stop,
        backend=cell.backend,
        device=cell.device,
    )
    record = _record(cell, gate, answer).model_copy(update={"started": answer.started})
    with suppress(OSError):
        if not log.stat().st_size:
            log.unlink()
    if peaks is None or record.status not in FINAL or not isinstance(cell, MemoryCell):
        return record
    return with_memory(record, peaks, timeout=timeout, memory_limit=memory_limit, stop=stop)


def _record(cell: Cell, gate: Gate | None, answer: Answer) -> Record:
    """The record that the process sent, however it then ended; or one that says why there is none."""
    *_, last = answer.text.splitlines() or [""]
    with suppress(ValueError, RecursionError):
        record = Record.model_validate(json.loads(last))
        if record.cell == cell:
            return record
    status = "crashed" if answer.status == "ok" else answer.status
    reason = answer.reason or "its process ended without a record"
    return Record(cell=cell, status=status, reason=reason, gate=gate, environment=environment(cell))
