"""Processes forked from servers that have imported what they need; see `rbench.run.fork_server`."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import Literal, TypeAlias

from rbench.errors import RbenchError
from rbench.plugins import plugins
from rbench.settings import Setting, Undo
from rbench.spec import parse

Variables: TypeAlias = dict[str, str]

PYTHON = (sys.executable, "-P", "-X", "faulthandler", "-m")
"""-P: a process imports what its parent does, not what lies in its working directory."""

END_SECONDS = 5.0
"""Longest time that a server takes to end its processes and itself."""


class NotForked(Exception):
    """A server did not fork a requested process; nothing of it has run."""


class Forked:
    """A process that a server is asked to fork, with the methods of `subprocess.Popen` that `run_child` uses.

    Attributes:
        pid: ID of the process and of its group; 0 before it starts, and once the server has ended both.
        returncode: None while it runs.
        stdin: its standard input.
        stdout: its standard output.
    """

    def __init__(self, server: "_Server", words: Sequence[str], errors: int) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self._server = server
        self._reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (read, written), (heard, said) = os.pipe(), os.pipe()
        self.stdin = open(written, "wb")
        self.stdout = open(heard, "rb")
        with theirs, suppress(OSError):  # a server that has ended: the reply says so
            socket.send_fds(server.control, [json.dumps(words).encode()], [read, said, errors, theirs.fileno()])
        os.close(read)
        os.close(said)

    def poll(self) -> int | None:
        """Its return code; None while it runs.

        Raises:
            NotForked: the server refused it.
        """
        while self.returncode is None and self._heard(0):
            pass
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; without a timeout, one that has not started is given up.

        Raises:
            NotForked: the server refused it.
            subprocess.TimeoutExpired: it still runs.
        """
        if timeout is None and not self.pid and self.returncode is None:
            self.returncode = -signal.SIGKILL
        while self.returncode is None:
            if not self._heard(timeout):
                raise subprocess.TimeoutExpired("", timeout or 0)
        self._reply.close()
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)

    def _heard(self, timeout: float | None) -> bool:
        """Read a message of the server within some seconds; returns whether there was one."""
        self._reply.settimeout(timeout)
        try:
            kind, _, value = self._reply.recv(4096).decode().partition(" ")
        except (BlockingIOError, TimeoutError):
            return False
        if kind == "pid":
            self.pid = int(value)
            self._server.has_forked = True
        elif kind == "ended":
            self.returncode = int(value)
            self.pid = 0
        elif self.pid:  # it ends with its server
            self.returncode = -signal.SIGKILL
        else:
            # If this server ever forked, a new one can, once it has imported the changed files.
            self._server.state = "retired" if self._server.has_forked else "broken"
            raise NotForked(value)
        return True


class _Server:
    """A process of `rbench.run.fork_server`.

    Attributes:
        key: environment and module of all that it forks.
        control: where requests go.
        has_forked: whether it has forked anything.
        state: `retired` where another must replace it; `broken` where another would fail too.
    """

    def __init__(self, variables: Variables, module: str) -> None:
        self.key = variables, module
        self.has_forked = False
        self.state: Literal["serving", "retired", "broken"] = "serving"
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [*PYTHON, "rbench.run.fork_server", str(theirs.fileno()), module]
        with theirs, tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=variables,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def end(self) -> None:
        """End it, and all that it forked."""
        self.control.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:  # it still imports
            self._process.kill()
            self._process.wait()


class _Servers:
    """The servers of this process, started as they are needed while they are `open`."""

    def __init__(self) -> None:
        self.open = False
        self._lock = Lock()
        self._started: list[_Server] = []

    def get(self, variables: Variables, module: str) -> _Server | None:
        """The server for an environment and a module; None where it is known not to serve."""
        with self._lock:
            found = [one for one in self._started if one.key == (variables, module) and one.state != "retired"]
            if not found:
                found = [_Server(variables, module)]
                self._started += found
        return found[0] if found[0].state == "serving" else None

    def begin(self) -> Undo:
        """Be open until the returned function is called, which ends the servers."""
        self.open = True
        return self._end

    def _end(self) -> None:
        self.open = False
        while self._started:
            self._started.pop().end()


_SERVERS = _Servers()

servers = Setting(_SERVERS.begin)
"""A context in which processes are forked where possible; its servers end with it."""


def fork(
    words: Sequence[str], variables: Variables, errors: int, backend: str | None, device: str | None
) -> Forked | None:
    """Fork a process that runs a module in its own process group, from a server with the same environment.

    Args:
        words: name of the module, and arguments.
        variables: the whole environment.
        errors: file descriptor for its standard error.
        backend: SPEC of the backend whose library the server has imported; None to have no process forked.
        device: the backend's name of the device, or None for its default.

    Returns:
        The process; None where it must be started afresh: outside of `servers`, on a system that lacks what a server
        needs, for a library or device that does not survive a fork, or where the server failed before.
    """
    if backend is None or not _SERVERS.open or sys.platform != "linux":
        return None
    try:
        plugin = plugins().find("backends", parse(backend)[0])
    except RbenchError:
        return None
    if plugin.preload is None or (device or plugin.devices[0]) != "cpu":
        return None
    server = _SERVERS.get(variables, plugin.preload)
    return None if server is None else Forked(server, words, errors)
