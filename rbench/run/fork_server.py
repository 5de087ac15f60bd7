"""A server that has imported what processes of rbench need, and forks one for each request.

`python -P -m rbench.run.fork_server CONTROL MODULE…` imports the modules, and then reads requests from the socket whose
number is CONTROL: `[module, argument…]` as JSON, with four file descriptors, the standard streams of the new process
and a socket. The process runs the module's `main` in a session of its own. On the socket it says its number, and when
it has ended the server says its return code; or the server says why it has not forked.

This is the idea of `multiprocessing.forkserver`, whose processes however share the server's process group and standard
streams, and do not tell the signal that ended them.
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
    """A forked process: its number, a file descriptor that is readable once it has ended, and the client's socket."""

    pid: int
    ended: int
    reply: socket.socket


class _Server:
    """Forks processes until its client closes the control socket, or ends; then it kills all of them."""

    def __init__(self, control: socket.socket, output: int) -> None:
        self._control, self._output = control, output
        self._children: list[_Child] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        os.close(os.pidfd_open(os.getpid()))  # a kernel without it ends the server before it is relied on
        if (pid := os.fork()) == 0:  # a BLAS ends its threads when the process forks
            os._exit(0)
        os.waitpid(pid, 0)
        self._files = _files()
        gc.collect()
        gc.freeze()  # no process looks at all that was imported, and copies its pages, whenever it collects garbage

    def serve(self) -> list[str]:
        """Wait for requests; returns one in each process that is forked, and never in the server."""
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
        """Fork a process; whether this is the new one."""
        *streams, last = descriptors
        reply, server = socket.socket(fileno=last), os.getpid()
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
            np.random.seed()  # otherwise all processes would draw the same
            with suppress(OSError):  # its client is gone, and the server kills it
                reply.send(f"pid {os.getpid()}".encode())
            reply.close()
            return True
        for descriptor in streams:
            os.close(descriptor)
        return False

    def _refusal(self, reply: socket.socket) -> str | None:
        """Why a request is not met."""
        with suppress(BlockingIOError):
            if not reply.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                return "its client is gone"
        if (count := len(os.listdir("/proc/self/task"))) > 1:
            return f"it has {count} threads"
        return "files that it has imported changed" if _files() != self._files else None

    def _leave(self, streams: list[int]) -> None:
        """In a new process: take its streams in place of the server's, and let go what is the server's."""
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
        """Tell how a process has ended; one that still runs has lost its client, and is killed with its group."""
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
    """Import, serve, and in each process that is forked run what was asked for."""
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
