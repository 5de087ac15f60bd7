"""`rbench run step-time` that is killed, stopped or crashed: what was measured stays, and is not measured again."""

import json
import signal
import time
from functools import partial
from types import SimpleNamespace

import psutil
import pytest

from helpers import command
from helpers.plugin_folder import install
from rbench.run import read_records

TINY = ("run", "step-time", "-t", "16-8-4", "--batch-size", "8", "--threads", "1")
PLUGIN = """
import os, signal, time
from pathlib import Path
from rbench.hookspecs import hookimpl
from rbench.methods import SGD

FOLDER = Path(__file__).parent

class Waits(SGD):
    name, summary = "waits", "leaves its process number, and starts once a file is there"

    def init(self, problem, params):
        (FOLDER / f"pid-{os.getpid()}").touch()
        while not (FOLDER / "go").exists():
            time.sleep(0.01)
        return super().init(problem, params)

class Dies(SGD):
    name, summary = "dies", "is killed, as by the kernel"

    def step(self, *arguments):
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def rbench_methods():
    return [Waits, Dies]
"""


@pytest.fixture
def rbench(tmp_path):
    """The command, where the plugin is installed; `start` returns the process at once."""
    folder = tmp_path / "plugin"
    folder.mkdir()
    env = install(folder, "rbench_cost_toy", PLUGIN)
    return SimpleNamespace(run=partial(command.run, env=env), start=partial(command.start, env=env), folder=folder)


def methods(*names):
    return [word for name in names for word in ("-m", name)]


def stored(directory):
    """Bytes of the records, by method."""
    paths = {path: path.read_bytes() for path in (directory / "cells").glob("*.json")}
    return {json.loads(text)["cell"]["method"].partition("[")[0]: text for text in paths.values()}


def ends(directory):
    records = read_records(directory)[0]
    return {record.cell.method.partition("[")[0]: (record.status, record.reason) for record in records}


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_was_measured_before_the_end_is_not_measured_again(rbench, tmp_path):
    directory = tmp_path / "run"
    words = (*TINY, *methods("sgd", "adam", "waits", "kfac[refresh=3]"), "-o", directory)
    process = rbench.start(*words)
    while not (waiting := list(rbench.folder.glob("pid-*"))) and process.poll() is None:
        time.sleep(0.05)
    before = stored(directory)
    assert set(before) == {"sgd", "adam"}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (pid,) = (int(path.name[4:]) for path in waiting)
    while not gone(pid):
        time.sleep(0.05)
    assert stored(directory) == before

    (rbench.folder / "go").touch()
    done = rbench.run(*words)
    assert done.code == 0, done.err
    assert "cells from an earlier run: 2; to run: 2" in done.err
    after = stored(directory)
    assert set(after) == {"sgd", "adam", "waits", "kfac"}
    assert {method: after[method] for method in before} == before
    assert {status for status, _ in ends(directory).values()} == {"ok"}
    published = json.loads((directory / "step-time-numpy.json").read_text())["benchmarks"]
    assert len(published) == 4


def test_a_process_that_dies_takes_one_cell_with_it(rbench, tmp_path):
    directory = tmp_path / "run"
    words = (*TINY, *methods("dies", "sgd", "adam"), "-o", directory)
    done = rbench.run(*words)
    assert done.code == 1
    status, reason = ends(directory)["dies"]
    assert status == "crashed"
    assert "was ended by signal SIGKILL" in reason
    (log,) = (directory / "cells").glob("*dies*.log")
    assert "test session starts" in log.read_text()
    assert [line.partition(" ")[0] for line in done.err.splitlines()[1:4]] == ["[1/3]", "[2/3]", "[3/3]"]
    before = stored(directory)
    again = rbench.run(*words)
    assert again.code == 1
    assert "cells from an earlier run: 2; to run: 1" in again.err
    assert {name: stored(directory)[name] for name in ("sgd", "adam")} == {n: before[n] for n in ("sgd", "adam")}
