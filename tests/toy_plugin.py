"""A plugin whose methods fail in every way; `test_run.py` installs a copy of it where only its own runs look."""

import os
import signal
import sys
import time
from pathlib import Path

from rbench.hookspecs import hookimpl
from rbench.methods import SGD
from rbench.run.suite import Entry, Suite

SPIRALS = "two-spirals[n_train=60,n_test=20,batch_size=20,hidden=[8],activation=relu]"
LARGE = "two-spirals[n_train=20,n_test=10,batch_size=10,hidden=[40000]]"


class Raises(SGD):
    name = "toy-raises"
    summary = "raises an error of its own"

    def step(self, *arguments):
        raise RuntimeError("boom")


class Killed(SGD):
    name = "toy-killed"
    summary = "is killed"

    def step(self, *arguments):
        os.kill(os.getpid(), signal.SIGKILL)


class Exits(SGD):
    name = "toy-exits"
    summary = "ends its process"

    def step(self, *arguments):
        print("to standard output", flush=True)
        print("last words", file=sys.stderr, flush=True)
        os._exit(3)


class Gated(SGD):
    name = "toy-gated"
    summary = "says that it runs, and waits while there is a gate"

    def step(self, *arguments):
        folder = Path(os.environ["TOY"])
        (folder / f"pid-{os.getpid()}").touch()
        while (folder / "gate").exists():
            time.sleep(0.01)
        return super().step(*arguments)


@hookimpl
def rbench_methods():
    return [Raises, Killed, Exits, Gated]


@hookimpl
def rbench_suites():
    diverging = ("sgd[lr=1e+30]", "riemannian[lr=1e+30]", "kfac[lr=1e+30,damping_split=eigen]")
    entries = (
        Entry(SPIRALS, ("toy-raises", "toy-killed", "toy-exits", "sgd", *diverging)),
        Entry("digits[hidden=[8]]", ("adam",)),
        Entry(LARGE, ("naive",)),
    )
    return [Suite("toy", "all that can go wrong", entries)]
