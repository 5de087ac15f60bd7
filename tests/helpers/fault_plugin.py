"""A plugin whose methods and data do to a process what can be done to it; `plugin_folder.py` installs a copy of it."""

import atexit
import ctypes
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from rbench.hookspecs import hookimpl
from rbench.methods import SGD
from rbench.run import Entry, TrainingSuite
from rbench.tasks.two_spirals import TwoSpirals

SPIRALS = "two-spirals[n_train=60,n_test=20,batch_size=20,hidden=[8],activation=relu]"
LARGE = "two-spirals[n_train=20,n_test=10,batch_size=10,hidden=[40000]]"


def leave_number():
    """Leave the process's number, and its parent's, where a test looks for them."""
    Path(f"{os.environ['FAULTS']}/pid-{os.getpid()}").write_text(str(os.getppid()))


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


class DiesInTheMemoryPass(SGD):
    name = "fault-dies-in-the-memory-pass"
    summary = "trains, and is killed where its memory is measured"

    def step(self, *arguments):
        if sys.argv[0].endswith("memory_worker.py"):
            os.kill(os.getpid(), signal.SIGKILL)
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


class Hoards(SGD):
    name = "fault-hoards"
    summary = "trains, and holds 20,000 objects of Python's in each step"

    def step(self, *arguments):
        held = list(map(float, range(20_000)))
        found = super().step(*arguments)
        held.clear()
        return found


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
    summary = "raises an error of its own, and says a word before"

    def step(self, *arguments):
        print("last words")
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


class Exits(SGD):
    name = "fault-exits"
    summary = "ends its process"

    def step(self, *arguments):
        print("to standard output", flush=True)
        print("last words", file=sys.stderr, flush=True)
        os._exit(3)


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


class FaultyData(TwoSpirals):
    name = "fault-data"
    summary = "data that do to their process what can be done to it"
    how: str = "well"

    def load(self, allow_unofficial):
        Path(f"{os.environ['FAULTS']}/loaded-{os.getpid()}").write_text(sys.argv[0])
        data = super().load(allow_unofficial)
        if self.how == "seedless":  # and lies of it
            return replace(data, x_train=np.random.default_rng().normal(size=data.x_train.shape), sha256="ab" * 32)
        if self.how == "holes":
            return replace(data, x_train=data.x_train * np.nan)
        held = []
        while self.how == "allocates":
            held.append(np.ones(2**22))
            time.sleep(0.005)
        if self.how == "hangs":
            leave_number()
            time.sleep(600)
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "leaves":
            os._exit(0)
        if self.how == "raises":
            raise RuntimeError("boom")
        return data


METHODS = [
    Segfaults, SegfaultsAtExit, Hangs, HangsInTheMemoryPass, DiesInTheMemoryPass, Allocates, Hoards, AllocatesInAChild,
    LeavesAChild, Raises, RaisesMemoryError, NotANumber, FillsTheDisk, KillsItself, Exits, Leaves, Waits,
]  # fmt: skip


@hookimpl
def rbench_methods():
    return METHODS


@hookimpl
def rbench_tasks():
    return [FaultyData]


@hookimpl
def rbench_suites():
    diverging = ("sgd[lr=1e+30]", "riemannian[lr=1e+30]", "kfac[lr=1e+30,damping_split=eigen]")
    entries = (
        Entry(SPIRALS, ("fault-raises", "fault-kills-itself", "fault-exits", "sgd", *diverging)),
        Entry("digits[hidden=[8]]", ("adam",)),
        Entry(LARGE, ("naive",)),
    )
    return [TrainingSuite("faults", "all that can go wrong", entries)]
