"""A process that is forked from a server is what a fresh one is, and the server neither outlives nor hides anything."""

import json
import os
import signal
import sys
import time

import psutil
import pytest

from helpers.faults import TASK, cell, course
from helpers.plugin_folder import install
from rbench.plugins import plugins
from rbench.run.child_process import run_child
from rbench.run.fork import servers
from rbench.run.isolate import run_isolated
from rbench.run.record import Record

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a server")

WIDE = TASK.replace("hidden=[8]", "hidden=[400]")
PROBE = """
import faulthandler, json, os, signal, sys
import rbench_mine
import rbench_numpy.backend  # as the server has, with what it leaves in the environment

def main():
    print("a word", file=sys.stderr)
    told = {
        "question": sys.stdin.read(), "arguments": sys.argv[1:], "file": os.path.basename(sys.argv[0]),
        "leads": (os.getpid() == os.getpgrp() == os.getsid(0)), "fault handler": faulthandler.is_enabled(),
        "safe path": sys.flags.safe_path, "path": sys.path, "folder": os.getcwd(),
        "environment": {name: value for name, value in os.environ.items() if name != "RBENCH_PARENT"},
        "parent": os.environ["RBENCH_PARENT"] == str(os.getppid()), "signals": [
            str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)],
        "files": sorted(os.listdir("/proc/self/fd"))[:4], "threads": len(os.listdir("/proc/self/task")),
    }
    print(json.dumps(told))
    sys.exit(int(sys.argv[1]))

if __name__ == "__main__":
    main()
"""
PLUGIN = """
from rbench.hookspecs import hookimpl
{}
WORD = "before"

@hookimpl
def rbench_methods():
    return []
"""
ASKS = """
import json, os, sys
import numpy as np
import rbench_mine

def main():
    print(json.dumps({"word": rbench_mine.WORD, "pid": os.getpid(), "parent": os.getppid(), "drawn": np.random.rand()}))

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Install a plugin with a line of code in it, and a module that tells of it."""

    def made(line=""):
        env = install(tmp_path, "rbench_mine", PLUGIN.format(line))
        monkeypatch.setenv("PYTHONPATH", env["PYTHONPATH"])
        (tmp_path / "asks.py").write_text(ASKS)
        (tmp_path / "probe.py").write_text(PROBE)
        return tmp_path / "rbench_mine.py"

    return made


def told(**options):
    """What the module tells, and how its process was started."""
    answer = run_child("asks", threads=1, backend="numpy", timeout=60, **options)
    assert answer.status == "ok", answer
    return {**json.loads(answer.text), "started": answer.started}


@pytest.mark.parametrize("status", [0, 3])
def test_a_forked_process_has_all_that_a_fresh_one_has(mine, status):
    mine("import sys; print('made', file=sys.stderr)")
    question = "what?\n" * 1000
    given = {"threads": 2, "arguments": (str(status), "x"), "variables": {"MORE": "1"}, "backend": "numpy"}
    fresh = run_child("probe", question, **given)
    with servers:
        forked = run_child("probe", question, **given)
    assert (fresh.started, forked.started) == ("fresh", "forked")
    assert forked._replace(text="", started="fresh") == fresh._replace(text="")
    one, other = json.loads(fresh.text), json.loads(forked.text)
    threads = one.pop("threads"), other.pop("threads")  # NumPy's, which start with its import or its first product
    assert threads[1] == 1 <= threads[0]
    assert one == other
    assert other["question"] == question
    assert other["leads"]


@pytest.mark.parametrize("method", ["sgd", "riemannian[output_metric=ggn]"])
@pytest.mark.parametrize(("backend", "threads"), [("numpy", 1), ("numpy", 2), ("torch", 2)])
def test_a_forked_cell_finds_what_a_fresh_one_finds(tmp_path, backend, threads, method):
    pytest.importorskip(backend)
    # Wide enough that a Python object of 70 bytes, there at one process's peak and not at another's, is no difference.
    one = cell(method, backend, task=WIDE, steps=6, threads=threads)
    fresh = run_isolated(one, None, tmp_path, peaks={})
    with servers:
        forked = run_isolated(one, None, tmp_path, peaks={})
    assert (fresh.started, forked.started) == ("fresh", "forked")
    assert course(forked) == course(fresh)
    assert forked.environment == fresh.environment
    assert forked.figures["peak_host_bytes"] == pytest.approx(fresh.figures["peak_host_bytes"], rel=1e-3)


@pytest.mark.parametrize("method", ["fault-segfaults", "fault-kills-itself", "fault-exits", "fault-leaves"])
def test_a_crash_is_told_as_of_a_fresh_process_and_takes_no_server_with_it(faults_found, tmp_path, method):
    fresh = run_isolated(cell(method), None, tmp_path)
    with servers:
        forked = run_isolated(cell(method), None, tmp_path)
        (server,) = psutil.Process().children()
        assert run_isolated(cell(), None, tmp_path).started == "forked"
        assert psutil.Process().children() == [server]
    assert (forked.started, forked.status, forked.reason) == ("forked", fresh.status, fresh.reason)
    assert not server.is_running()


def test_a_record_that_does_not_say_how_it_was_started_can_be_read():
    assert Record.model_validate({"cell": cell(), "status": "ok"}).started is None


def test_processes_share_a_server_and_no_random_numbers(mine):
    mine()
    with servers:
        one, other = told(), told()
    assert one["parent"] == other["parent"] != os.getpid()
    assert one["drawn"] != other["drawn"]


def test_a_process_has_the_source_that_there_is_when_it_starts(mine):
    source = mine()
    with servers:
        before = told()
        source.write_text(source.read_text().replace('"before"', '"after it"'))
        after = told()
    assert [(one["word"], one["started"]) for one in (before, after)] == [("before", "forked"), ("after it", "forked")]


def test_a_server_that_is_killed_is_started_again(mine):
    mine()
    with servers:
        before = told()
        os.kill(before["parent"], signal.SIGKILL)
        after = told()
    assert after["started"] == "forked"
    assert after["parent"] != before["parent"]


@pytest.mark.parametrize(
    "line",
    [
        "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "import os, sys; 'rbench.run.fork_server' in sys.orig_argv and os._exit(1)",
    ],
)
def test_where_a_server_cannot_serve_processes_are_started_afresh(mine, line):
    mine(line)
    with servers:
        assert [told()["started"] for _ in range(2)] == ["fresh", "fresh"]


def test_a_plugin_that_hangs_a_server_is_ended_in_time(mine):
    mine("import time; time.sleep(600)")
    start = time.monotonic()
    with servers:
        answer = run_child("asks", threads=1, backend="numpy", timeout=1)
    assert (answer.status, answer.reason) == ("timeout", "did not end within 1 s")
    assert time.monotonic() - start < 30
    assert psutil.Process().children() == []


def test_devices_and_libraries_that_do_not_say_so_are_not_forked(mine, monkeypatch):
    mine()
    with servers:
        assert run_child("asks", threads=1, backend="numpy", device="cuda:0").started == "fresh"
        assert run_child("asks", threads=1).started == "fresh"
        assert run_child("asks", threads=1, backend="no-such").started == "fresh"
    assert plugins().find("backends", "cupy").preload is None
