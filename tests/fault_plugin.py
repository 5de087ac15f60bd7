"""A plugin whose methods do to their process what can be done to it; `faults.py` installs a copy of it."""

import atexit
import ctypes
import os
import signal
import sys
import time

import numpy as np

from rbench.hookspecs import hookimpl
from rbench.methods import SGD


def leave_number():
    """Leave the process's number where a test looks for it."""
    open(f"{os.environ['FAULTS']}/pid-{os.getpid()}", "w").close()


class Segfaults(SGD):
    name = "fault-segfaults"
    summary = "reads where nothing is"

    def step(self, *arguments):
        ctypes.string_at(0)


class SegfaultsAtExit(SGD):
    name = "fault-segfaults-at-exit"
    summary = "trains, and reads where nothing is when all is done"

    def init(self, problem, params):
        atexit.register(ctypes.string_at, 0)
        return super().init(problem, params)


class Hangs(SGD):
    name = "fault-hangs"
    summary = "sleeps without end in C, holding the interpreter's lock, so that no thread or signal handler runs"

    def step(self, *arguments):
        leave_number()
        ctypes.PyDLL(None).sleep(600)


class HangsInTheMemoryPass(SGD):
    name = "fault-hangs-in-the-memory-pass"
    summary = "trains, and hangs where its memory is measured"

    def step(self, *arguments):
        while sys.argv[0].endswith("memory_worker.py"):
            time.sleep(1)
        return super().step(*arguments)


class Allocates(SGD):
    name = "fault-allocates"
    summary = "takes memory without end"

    def step(self, problem, *arguments):
        xp, held = problem.backend.xp, []
        while True:
            held.append(problem.backend.asarray(np.ones(2**22)))
            held.append(xp.ones(2**22, dtype=problem.backend.float_dtype))
            time.sleep(0.005)


class AllocatesInAChild(SGD):
    name = "fault-allocates-in-a-child"
    summary = "takes memory without end, in a process of its own"

    def step(self, problem, *arguments):
        if os.fork() == 0:
            Allocates().step(problem)
        os.wait()


class LeavesAChild(SGD):
    name = "fault-leaves-a-child"
    summary = "trains, and leaves a process that holds its pipes open"

    def init(self, problem, params):
        if os.fork() == 0:
            time.sleep(600)
        return super().init(problem, params)


class Raises(SGD):
    name = "fault-raises"
    summary = "raises an error of its own"

    def step(self, *arguments):
        raise RuntimeError("boom")


class RaisesMemoryError(SGD):
    name = "fault-memory-error"
    summary = "asks for more memory than any machine has"

    def step(self, *arguments):
        np.ones(2**56)


class NotANumber(SGD):
    name = "fault-nan"
    summary = "its loss is not a number"

    def step(self, problem, *arguments):
        found = super().step(problem, *arguments)
        return found._replace(loss=found.loss * float("nan"))


class FillsTheDisk(SGD):
    name = "fault-fills-the-disk"
    summary = "writes to a disk that is full"

    def step(self, *arguments):
        with open("/dev/full", "w") as file:
            file.write("something")


class KillsItself(SGD):
    name = "fault-kills-itself"
    summary = "is killed, as by the kernel"

    def step(self, *arguments):
        os.kill(os.getpid(), signal.SIGKILL)


class Leaves(SGD):
    name = "fault-leaves"
    summary = "ends its process as if all were done"

    def step(self, *arguments):
        os._exit(0)


class Waits(SGD):
    name = "fault-waits"
    summary = "trains once a file is there, and leaves its process number"

    def init(self, problem, params):
        leave_number()
        while not os.path.exists(f"{os.environ['FAULTS']}/go"):
            time.sleep(0.01)
        return super().init(problem, params)


METHODS = [
    Segfaults, SegfaultsAtExit, Hangs, HangsInTheMemoryPass, Allocates, AllocatesInAChild, LeavesAChild, Raises,
    RaisesMemoryError, NotANumber, FillsTheDisk, KillsItself, Leaves, Waits,
]  # fmt: skip


@hookimpl
def rbench_methods():
    return METHODS
