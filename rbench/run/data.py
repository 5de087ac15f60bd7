"""The data of a run's tasks: found and checked in a process of their own, under the cells' limits."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import psutil
from pydantic import BaseModel, ConfigDict, TypeAdapter

from rbench import errors
from rbench.errors import DataError
from rbench.experiment import Cell
from rbench.run.child_process import run_child
from rbench.run.record import Status
from rbench.spec import parse
from rbench.train.cell import configured
from rbench.train.memory import size_in_words

END_SECONDS = 3.0
"""Time that a stopped download has to remove its partial file."""


class Wanted(BaseModel):
    """Data that cells need.

    Attributes:
        task: canonical SPEC.
        unofficial_data: whether a copy that is not the published one is taken.
        threads: of the numerical libraries, on which rounding depends.
        dtype: the narrowest that they are used in.
    """

    model_config = ConfigDict(frozen=True)
    task: str
    unofficial_data: bool = False
    threads: int = 1
    dtype: str = "float32"


class Found(BaseModel):
    """What a process found out about a task's data.

    Attributes:
        sha256: fingerprint of the content, as the task gives it.
        checksum: of the arrays themselves.
        n_train: number of training data.
        refused: class and message of the error, where they cannot be used.
        status: of cells that need them, where their process failed; None where it did not.
        reason: why it failed.
    """

    sha256: str = ""
    checksum: str = ""
    n_train: int = 0
    refused: tuple[str, str] | None = None
    status: Status | None = None
    reason: str = ""


WANTED = TypeAdapter(list[Wanted])


def wanted(cells: Sequence[Cell]) -> dict[str, Wanted]:
    """The data that cells read, by cell key, in the narrowest dtype of the cells that share them."""
    found = {cell.key: (*cell.data, cell.threads) for cell in cells if cell.data is not None}
    single = {found[cell.key] for cell in cells if cell.key in found and cell.dtype == "float32"}
    wanted = {}
    for cell in cells:
        if cell.key in found:
            task, unofficial, threads = found[cell.key]
            dtype = "float32" if found[cell.key] in single else cell.dtype
            wanted[cell.key] = Wanted(task=task, unofficial_data=unofficial, threads=threads, dtype=dtype)
    return wanted


def find_data(
    asked: Sequence[Wanted],
    *,
    timeout: float | None = None,
    memory_limit: int | None = None,
    stop: threading.Event | None = None,
) -> dict[Wanted, Found]:
    """Make or fetch data and check them, in other processes that hold one data set at a time.

    One process finds all, since starting one takes longer than most data; if it dies, another goes on.

    Args:
        asked: the data.
        timeout: seconds for each, or None.
        memory_limit: bytes that the process may hold resident, or None.
        stop: ends it when set.

    Returns:
        The result for each.

    Raises:
        DataError: data are absent, damaged or not official, or fail the checks.
        SpecError: the batch size is more than the training data.
        Stopped: `stop` was set.
    """
    found = {one: Found(status="skipped", reason=why) for one in asked if (why := _too_large(one, memory_limit))}
    while left := [one for one in asked if one not in found]:
        together = [one for one in left if one.threads == left[0].threads]
        answers: list[Found] = []
        answer = run_child(
            "rbench.run.data_worker",
            WANTED.dump_json(together).decode(),
            threads=together[0].threads,
            timeout=timeout,
            memory_limit=memory_limit,
            heard=partial(_hear, answers),
            stop=stop,
            for_each_line=True,
            on_terminal=True,
            grace=END_SECONDS,
            backend="numpy",  # data are NumPy's
        )
        found |= dict(zip(together, answers, strict=False))
        for one in answers:
            if one.refused is not None:
                kind, message = one.refused
                raise getattr(errors, kind, DataError)(message)
        # Data that fail after others are tried again in a new process: what the others left may be the cause.
        if len(answers) < len(together) and (not answers or answer.status == "timeout"):
            status = "crashed" if answer.status == "ok" else answer.status
            reason = answer.reason or "its process ended without an answer"
            found[together[len(answers)]] = Found(status=status, reason=f"loading its data: {reason}")
    return found


def _hear(answers: list[Found], line: bytes) -> None:
    with suppress(ValueError):  # half a line of a process that died
        answers.append(Found.model_validate_json(line))


def _too_large(one: Wanted, memory_limit: int | None) -> str | None:
    """Why data cannot fit, by their task's estimate; None where they may."""
    (task,) = configured("tasks", one.task)
    try:
        needed = int(task.data_bytes() or 0)
    except Exception:  # a plugin's, and only an estimate
        return None
    free = int(psutil.virtual_memory().available)
    limited = memory_limit is not None and memory_limit < free
    there = memory_limit if memory_limit is not None and limited else free
    if needed <= there:
        return None
    words = f"the memory limit is {size_in_words(there)}" if limited else f"{size_in_words(there)} are free"
    return f"the data of {parse(one.task)[0]} take {size_in_words(needed)} at least, and {words}"
