"""A server that imports what rbench's processes need, and forks one process per request.

`python -P -m rbench.run.fork_server CONTROL MODULE…` imports the modules, and then reads requests from the socket whose
number is CONTROL: `[module, argument…]` as JSON, with four file descriptors: the new process's standard streams and a
socket. The process runs the module's `main` in its own session and sends its process ID on the socket. The server sends
the return code when the process has ended, or the reason why it did not fork.

The idea is that of `multiprocessing.forkserver`, whose processes, however, share the server's process group and
standard streams, and do not report the signal that ended them.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from rbench.plugins import plugins
from rbench.train.process import PARENT, end_group, end_with_parent

WORKERS = ("rbench.run.worker", "rbench.run.memory_worker", "rbench.run.gate_worker", "rbench.run.data_worker")


class _Child(NamedTuple):
    """A forked process: its ID, a file descriptor that is readable once it has ended, and the client's socket."""

    pid: int
    ended: int
    reply: socket.socket


class _Server:
    """Forks processes until its client closes the control socket, or ends; then it kills all of them."""

    def __init__(self, control: socket.socket, output: int) -> None:
        self._control = control
        self._output = output
        self._children: list[_Child] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        os.close(os.pidfd_open(os.getpid()))  # on a kernel without it the server ends before anyone relies on it
        if (pid := os.fork()) == 0:  # a BLAS ends its threads when the process forks
            os._exit(0)
        os.waitpid(pid, 0)
        self._files = _files()
        gc.collect()
        gc.freeze()  # otherwise garbage collection in a process would copy the pages of all imports

    def serve(self) -> list[str]:
        """Wait for requests; returns the request in each forked process, and never in the server."""
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._end(key.data)
                    continue
                message, descriptors, _, _ = socket.recv_fds(self._control, 2**20, 4)
                if not message:
                    for child in list(self._children):
                        self._end(child)
                    os._exit(0)
                if self._fork(*descriptors):
                    return list(json.loads(message))

    def _fork(self, *descriptors: int) -> bool:
        """Fork a process; returns whether this is the new one."""
        *streams, last = descriptors
        reply = socket.socket(fileno=last)
        server = os.getpid()
        if refusal := self._refusal(reply):
            with suppress(OSError):
                reply.send(f"refused {refusal}".encode())
            reply.close()
        elif pid := os.fork():
            child = _Child(pid, os.pidfd_open(pid), reply)
            self._children.append(child)
            for watched in (child.ended, child.reply):
                self._selector.register(watched, selectors.EVENT_READ, child)
        else:
            os.environ[PARENT] = str(server)
            end_with_parent()
            os.setsid()
            self._leave(streams)
            np.random.seed()  # otherwise all processes would draw the same numbers
            with suppress(OSError):  # the client is gone, and the server kills this process
                reply.send(f"pid {os.getpid()}".encode())
            reply.close()
            return True
        for descriptor in streams:
            os.close(descriptor)
        return False

    def _refusal(self, reply: socket.socket) -> str | None:
        """Why a request is refused, or None."""
        with suppress(BlockingIOError):
            if not reply.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                return "its client is gone"
        if (count := len(os.listdir("/proc/self/task"))) > 1:
            return f"it has {count} threads"
        return "files that it has imported changed" if _files() != self._files else None

    def _leave(self, streams: list[int]) -> None:
        """In a new process: replace the server's streams by its own, and close what belongs to the server."""
        for child in self._children:
            os.close(child.ended)
            child.reply.close()
        self._selector.close()
        self._control.close()
        for stream, descriptor in enumerate(streams):
            os.dup2(descriptor, stream)
            os.close(descriptor)
        with suppress(OSError):  # the disk is full
            os.write(2, os.pread(self._output, 2**20, 0))
        os.close(self._output)

    def _end(self, child: _Child) -> None:
        """Report how a process ended; one that still runs has lost its client and is killed with its group."""
        if child not in self._children:
            return
        self._children.remove(child)
        os.kill(child.pid, signal.SIGKILL)
        end_group(child.pid)
        _, status = os.waitpid(child.pid, 0)
        for watched in (child.ended, child.reply):
            self._selector.unregister(watched)
        with suppress(OSError):
            child.reply.send(f"ended {os.waitstatus_to_exitcode(status)}".encode())
        os.close(child.ended)
        child.reply.close()


def _files() -> dict[str, tuple[int, int]]:
    """Times and sizes of all files that were imported."""
    found = {}
    for name in {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}:
        with suppress(OSError):
            status = os.stat(name)
            found[name] = status.st_mtime_ns, status.st_size
    return found


def main() -> None:
    """Import, serve, and run the requested module in each forked process."""
    output = os.dup(2)
    for name in (*WORKERS, *sys.argv[2:]):
        with suppress(Exception):  # the process that needs it will say what is wrong
            importlib.import_module(name)
    plugins()
    sys.stdout.flush()
    module, *arguments = _Server(socket.socket(fileno=int(sys.argv[1])), output).serve()
    program = importlib.import_module(module)
    sys.argv = [str(program.__file__), *arguments]
    program.main()


if __name__ == "__main__":
    main()
