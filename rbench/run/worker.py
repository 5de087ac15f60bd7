"""The worker: a fresh process that runs one cell.

`python -m rbench.run.worker` reads its assignment as JSON from standard input, writes lines `step total` to standard
output while it trains, and at last its record as a line of JSON. All other output goes to standard error.
"""

import json
import os
import sys
import traceback
from contextlib import suppress
from time import monotonic

from rbench.backend import Backend
from rbench.errors import CapacitanceError, DivergedError, Skip
from rbench.experiment import Cell, Limits, Outcome
from rbench.plugins import get_backend
from rbench.run.child_process import answer_channel
from rbench.run.gate import Gate
from rbench.run.provenance import environment, provenance
from rbench.run.record import Assignment, Record, Status, plain
from rbench.train.process import keep_freed_memory

REPORT_SECONDS = 0.1


def run_cell(
    cell: Cell,
    gate: Gate | None = None,
    progress: int | None = None,
    memory_limit: int | None = None,
    checksum: str | None = None,
) -> Record:
    """Run a cell in this process, and record however it ends.

    Args:
        cell: what to run.
        gate: for the record.
        progress: file descriptor for the lines `step total`, or None.
        memory_limit: bytes that this process may hold resident, or None.
        checksum: required of the data, or None.
    """
    outcome = Outcome()
    last = 0.0

    def report(step: int, total: int) -> None:
        nonlocal last
        if progress is not None and monotonic() - last > REPORT_SECONDS:
            last = monotonic()
            os.write(progress, f"{step} {total}\n".encode())

    status: Status = "ok"
    reason: str | None = None
    made_with = environment(cell)
    known = provenance()
    backend: Backend | None = None
    try:
        backend = get_backend(cell.backend, dtype=cell.dtype, device=cell.device)
        known |= {"backend": backend.describe(), "device": backend.device}
        outcome.figures["device"] = backend.device
        with backend.inference():
            cell.run(backend, outcome, report, Limits(memory_limit, checksum))
    except Skip as error:
        status = "skipped"
        reason = str(error)
    except (CapacitanceError, DivergedError) as error:
        status = "diverged"
        reason = str(error)
    except Exception as error:
        if backend.is_out_of_memory(error) if backend else isinstance(error, MemoryError):
            status = "out_of_memory"
            reason = str(error) or "memory ran out"
        else:
            with suppress(OSError):  # the disk is full
                traceback.print_exc()
            status = "crashed"
            reason = f"{type(error).__name__}: {error}"
    if status != "ok":
        outcome.figures = {key: outcome.figures[key] for key in cell.kept_of_failures if key in outcome.figures}
    return Record(
        cell=cell,
        status=status,
        reason=reason,
        figures=outcome.figures,
        history=outcome.history,
        attachment=outcome.attachment,
        provenance=known,
        environment=made_with,
        gate=gate,
    )


def main() -> None:
    """Run the cell on standard input."""
    answer = answer_channel()
    keep_freed_memory()
    given = Assignment.model_validate_json(sys.stdin.read())
    record = run_cell(given.cell, given.gate, answer, given.memory_limit, given.checksum)
    with open(answer, "wb") as file:
        file.write(json.dumps(plain(record.model_dump())).encode() + b"\n")


if __name__ == "__main__":
    main()
