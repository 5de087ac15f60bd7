"""A question to a fresh process: a module reads it from standard input and answers on standard output."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from rbench.run.process import how_it_ended, thread_variables


class Answer(NamedTuple):
    """What a process said, and how it ended.

    Attributes:
        text: what it wrote to standard output.
        status: `ok`, `timeout`, or `crashed` where it was ended by a signal or did not end with status 0.
        reason: in words, where it did not end `ok`.
        errors: what it wrote to standard error.
    """

    text: str
    status: Literal["ok", "timeout", "crashed"]
    reason: str | None
    errors: str


def ask(
    module: str,
    question: str = "",
    *,
    threads: int,
    arguments: Sequence[str] = (),
    timeout: float | None = None,
    among: set[subprocess.Popen[Any]] | None = None,
) -> Answer:
    """Run a module as a program, in a process group of its own, which is ended with it.

    Args:
        module: its name, as for `python -m`.
        question: what it finds on standard input.
        threads: of its numerical libraries.
        arguments: of its command line.
        timeout: seconds that it may take, or None.
        among: a set of processes, which this one joins while it runs, so that another thread can end it.
    """
    process = subprocess.Popen(
        # -P: the process imports what its parent does, not a checkout that it happens to stand in.
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **thread_variables(threads)},
        start_new_session=True,
        text=True,
        errors="replace",
    )
    running = set() if among is None else among
    running.add(process)
    try:
        text, errors = process.communicate(question, timeout)
    except subprocess.TimeoutExpired:
        return Answer("", "timeout", f"did not end within {timeout:g} s", "")
    finally:
        running.discard(process)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode == 0:
        return Answer(text, "ok", None, errors)
    lines = errors.strip().splitlines()
    reason = f"its process {how_it_ended(process.returncode)}: {lines[-1] if lines else 'no output'}"
    return Answer(text, "crashed", reason, errors)


def answer_channel() -> int:
    """In the process: a file descriptor for the answer; all else that is printed goes to standard error from now on."""
    channel = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel
