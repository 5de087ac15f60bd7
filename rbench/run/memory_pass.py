"""The memory pass of a record: in a process of its own, tried again where it fails."""

import threading
from collections.abc import MutableMapping
from typing import cast

from pydantic import Field

from rbench.experiment import MemoryCell
from rbench.run.child_process import Answer, run_child
from rbench.run.record import FINAL, Record
from rbench.run.resume import changed
from rbench.train.memory import VARIABLES, Peaks

TRIES = 2


class Measured(Peaks):
    """What the process of a memory pass answers.

    Attributes:
        environment: of the cell, as that process finds it.
    """

    environment: dict[str, str] = Field({})


def lacks_memory(record: Record) -> bool:
    """Whether a record's peak memory is still to be measured: its pass failed.

    A pass whose step does not fit into memory did not fail.
    """
    return record.status in FINAL and record.memory_status not in (None, "ok", "skipped")


def with_memory(
    record: Record,
    peaks: MutableMapping[str, Peaks],
    *,
    timeout: float | None = None,
    memory_limit: int | None = None,
    stop: threading.Event | None = None,
) -> Record:
    """A record with the peak memory of its cell's steps, or with the reason why that is missing.

    Peaks that other software would give than the cell ran with are not taken.

    Args:
        record: of a `MemoryCell` that has run.
        peaks: of steps measured so far, one for all seeds and budgets; new ones are added, failures are not.
        timeout: seconds for each try, or None.
        memory_limit: bytes that its process may hold resident, as `run_child` counts them, or None.
        stop: ends it when set.

    Raises:
        Stopped: `stop` was set.
    """
    like = cast(MemoryCell, record.cell).alike_in_memory()

    def measured() -> Answer:
        answer = run_child(
            "rbench.run.memory_worker",
            like.model_dump_json(),
            threads=like.threads,
            variables=VARIABLES,
            timeout=like.longest_seconds if timeout is None else timeout,
            memory_limit=memory_limit,
            stop=stop,
            backend=like.backend,
            device=like.device,
        )
        if answer.status != "ok":
            return answer
        try:
            found = Measured.model_validate_json(answer.text)
        except ValueError:
            return answer._replace(status="crashed", reason="its process ended without an answer")
        if found.environment and (changes := changed(record, {}, lambda cell: found.environment)):
            return answer._replace(status="crashed", reason=f"the software changed before it ({'; '.join(changes)})")
        peaks[like.key] = found
        return answer

    answers: list[Answer] = []
    while like.key not in peaks and len(answers) < TRIES:
        answers.append(measured())
    if like.key in peaks:
        found = peaks[like.key]
        status, reason = ("skipped", found.skipped) if found.skipped else ("ok", None)
    else:
        found = Peaks()
        status = answers[-1].status
        reason = f"tried {len(answers)} times: {'; '.join(dict.fromkeys(str(one.reason) for one in answers))}"
    return record.model_copy(
        update={
            "figures": record.figures | found.figures(),
            "memory_status": status,
            "memory_reason": reason,
        }
    )
