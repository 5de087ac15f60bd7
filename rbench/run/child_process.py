"""A question to a fresh process: a module reads it from standard input and answers on standard output."""

import os
import selectors
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Literal, NamedTuple, TypeAlias, cast

from rbench.run.fork import PYTHON, Forked, NotForked, Variables, fork
from rbench.train.process import (
    PARENT,
    end_group,
    end_with_parent,
    how_it_ended,
    kernel_kills,
    resident_bytes,
    thread_variables,
)

INTERVAL = 0.05
"""Seconds between two checks of a silent process."""

End: TypeAlias = Literal["ok", "timeout", "out_of_memory", "crashed"]

Started: TypeAlias = Literal["forked", "fresh"]

Process: TypeAlias = "subprocess.Popen[bytes] | Forked"


class Stopped(Exception):
    """A process was ended because its answer is no longer wanted."""


class Answer(NamedTuple):
    """What a process said, and how it ended.

    Attributes:
        text: what it wrote to standard output, also where it did not end `ok`.
        status: `ok`; `timeout`; `out_of_memory` where it exceeded its limit, or was killed while the kernel killed for
            lack of memory; `crashed` where it could not be started, was ended by a signal or did not end with
            status 0.
        reason: why it did not end `ok`.
        errors: what it wrote to standard error.
        started: whether it was forked from a server, or afresh.
    """

    text: str
    status: End
    reason: str | None
    errors: str
    started: Started = "fresh"


def run_child(
    module: str,
    question: str = "",
    *,
    threads: int,
    arguments: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    memory_limit: int | None = None,
    log: Path | None = None,
    heard: Callable[[bytes], None] = lambda line: None,
    stop: threading.Event | None = None,
    for_each_line: bool = False,
    on_terminal: bool = False,
    grace: float = 0.0,
    backend: str | None = None,
    device: str | None = None,
) -> Answer:
    """Run a module as a program in its own process group, which ends with it.

    Within `servers` it is forked, where possible, from a process that has imported its backend's library.

    Args:
        module: its name, as for `python -m`; one that is forked runs the module's `main`.
        question: what it finds on standard input.
        threads: of its numerical libraries.
        arguments: of its command line.
        variables: environment variables beside this process's and those of `threads`.
        timeout: seconds that it may take, or None.
        memory_limit: bytes that its group may hold resident at once, or None. It is checked every `INTERVAL` seconds
            and may be exceeded in between. Loaded libraries count; memory that is reserved but not touched, and a
            device's memory, do not.
        log: file for its standard error, which can be read while it runs; a temporary one if None.
        heard: called with each whole line of its standard output as it comes.
        stop: ends it when set.
        for_each_line: whether the timeout restarts with each line of its output.
        on_terminal: whether its standard error is this process's where that is a terminal, as for a progress bar.
        grace: seconds that it has to tidy up after SIGTERM.
        backend: SPEC of the backend whose library it needs; None: it is not forked.
        device: the backend's name of the device, or None for its default.

    Raises:
        Stopped: `stop` was set.
    """
    words = [module, *arguments]
    environment = {**os.environ, **(variables or {}), **thread_variables(threads), PARENT: str(os.getpid())}
    try:
        with log.open("w+b") if log else tempfile.TemporaryFile() as errors:
            said = 2 if on_terminal and os.isatty(2) else errors.fileno()
            while True:
                process = fork(words, environment, said, backend, device) or _fresh(words, environment, said)
                watch = _Watch(timeout, memory_limit, stop, for_each_line)
                with suppress(NotForked):  # then try another server, or a fresh process
                    return _asked(process, question, errors, watch, heard, grace)
    except OSError as error:
        return Answer("", "crashed", f"its process could not be started: {error}", "")


def answer_channel() -> int:
    """In the process: a file descriptor for the answer; all other output goes to standard error from now on.

    The process also ends with its parent from now on.
    """
    end_with_parent()
    channel = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


class _Watch:
    """Decides when a process must be ended."""

    def __init__(
        self, timeout: float | None, memory_limit: int | None, stop: threading.Event | None, for_each_line: bool
    ) -> None:
        self._timeout = timeout
        self._memory_limit = memory_limit
        self._stop = stop
        self._start = self._looked = monotonic()
        self._for_each_line = for_each_line

    def heard(self) -> None:
        """Note that it has written a line."""
        if self._for_each_line:
            self._start = monotonic()

    def verdict(self, group: int) -> tuple[End, str] | None:
        """Status and reason where the group has exceeded a limit.

        Raises:
            Stopped: its answer is no longer wanted.
        """
        now = monotonic()
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        if self._timeout is not None and now - self._start > self._timeout:
            return "timeout", f"did not end within {self._timeout:g} s"
        if self._memory_limit is not None and now - self._looked >= INTERVAL:
            self._looked = now
            held = resident_bytes(group)
            if held > self._memory_limit:
                limit = f"the limit of {self._memory_limit / 2**20:,.0f} MiB"
                return "out_of_memory", f"its process held {held / 2**20:,.0f} MiB, above {limit}"
        return None


def _fresh(words: Sequence[str], environment: Variables, errors: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*PYTHON, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
        start_new_session=True,
    )


def _asked(
    process: Process, question: str, errors: IO[bytes], watch: _Watch, heard: Callable[[bytes], None], grace: float
) -> Answer:
    """Send the question, read the answer, and end the process.

    Raises:
        NotForked: its server has not forked it.
    """
    killed_before = kernel_kills()
    text = bytearray()
    try:
        # A process that died at once has closed the pipe; its exit status says how.
        with suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as to_process:
            to_process.write(question.encode())
        verdict = _listen(process, text, watch, heard)
    finally:
        if grace and process.pid and process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        if process.pid:
            end_group(process.pid)
        code = process.wait()
        cast(IO[bytes], process.stdout).close()
    errors.seek(0)
    said = errors.read().decode(errors="replace")
    status, reason = verdict or _how(code, said, kernel_kills() > killed_before)
    started: Started = "forked" if isinstance(process, Forked) else "fresh"
    return Answer(text.decode(errors="replace"), status, reason, said, started)


def _listen(process: Process, text: bytearray, watch: _Watch, heard: Callable[[bytes], None]) -> tuple[End, str] | None:
    """Read a process's output until it ends or must be ended; returns the verdict.

    Only its own end counts: processes that it left behind may hold the pipe open.
    """
    pipe = cast(IO[bytes], process.stdout).fileno()
    told = 0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (verdict := watch.verdict(process.pid)) is None:
            ended = process.poll() is not None
            if selector.get_map() and selector.select(0 if ended else INTERVAL):
                chunk = os.read(pipe, 2**16)
                text += chunk
                if not chunk:
                    selector.unregister(pipe)
                while (end := text.find(b"\n", told)) >= 0:
                    heard(bytes(text[told:end]))
                    watch.heard()
                    told = end + 1
            elif ended:
                break
            elif not selector.get_map():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(INTERVAL)
    return verdict


def _how(code: int, errors: str, kernel_killed: bool) -> tuple[End, str | None]:
    """Status and reason of a process that ended by itself, or was ended by something else."""
    if code == 0:
        return "ok", None
    if code == -9:
        if kernel_killed:
            return "out_of_memory", "the kernel killed its process when memory ran out"
        return "crashed", f"its process {how_it_ended(code)}; the kernel does so when memory runs out"
    # The text before Python's report of a fatal signal says why it was raised.
    lines = errors.partition("Fatal Python error")[0].strip().splitlines()
    silence = ": no output" if code > 0 else ""
    said = f": {lines[-1]}" if lines else silence
    return "crashed", f"its process {how_it_ended(code)}{said}"
