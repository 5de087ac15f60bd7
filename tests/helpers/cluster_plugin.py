"""A plugin with a task and backends that the workers alone have, and methods; `test_cluster.py` installs a copy.

Methods that raise and that wait are those of `fault_plugin.py`, which it installs as well.
"""

import os
import signal
import time

from rbench import BackendPlugin, hookimpl
from rbench.errors import DataError
from rbench.methods import SGD
from rbench.tasks.two_spirals import TwoSpirals

HERE = os.environ["CLUSTER"]
"""The folder that tests look into."""


def on_a_worker():
    return "CLUSTER_WORKER" in os.environ


class Spirals(TwoSpirals):
    name = "cluster-spirals"
    summary = "two spirals that the workers alone have"

    def load(self, allow_unofficial):
        if not on_a_worker():
            raise DataError("the spirals are on the workers")
        return super().load(allow_unofficial)


class Marks(SGD):
    name = "cluster-marks"
    summary = "notes when it began and ended, and the worker that it belongs to"

    def init(self, problem, params):
        mark("begin")
        time.sleep(0.3)
        mark("end")
        return super().init(problem, params)


def mark(word):
    with open(f"{HERE}/marks", "a") as file:
        file.write(f"{os.getppid()} {os.getpid()} {word}\n")


class Kills(SGD):
    name = "cluster-kills"
    summary = "kills the worker that it belongs to"

    def init(self, problem, params):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)


def create(dtype, device):
    from rbench_numpy.backend import NumpyBackend

    return NumpyBackend(dtype, device)


def create_wrong(dtype, device):
    from rbench_numpy.backend import NumpyBackend

    class Wrong(NumpyBackend):
        def cholesky(self, *arguments):
            return 2 * super().cholesky(*arguments)

    return Wrong(dtype, device)


def problem():
    return None if on_a_worker() else "it is on the workers"


@hookimpl
def rbench_methods():
    return [Marks, Kills]


@hookimpl
def rbench_tasks():
    return [Spirals]


@hookimpl
def rbench_backends():
    return [
        BackendPlugin("cluster-numpy", create, problem, "NumPy that the workers alone have"),
        BackendPlugin("cluster-wrong", create_wrong, problem, "NumPy with a wrong Cholesky factor"),
    ]
