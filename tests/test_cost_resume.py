"""`rbench run step-time` that is killed, stopped or crashed: what was measured stays, and is not measured again."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from typer.testing import CliRunner

from rbench.cli import app
from rbench.cost import Plan, benchmarks, places
from rbench.run.ask import Answer
from rbench.run.provenance import cost_environment, provenance

TINY = ("run", "step-time", "-t", "16-8-4", "--batch-size", "8", "--threads", "1")
FILE = "step-time-numpy.json"
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
    (folder / "rbench_cost_toy.py").write_text(PLUGIN)
    info = folder / "rbench_cost_toy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rbench-cost-toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[rbench]\ncost-toy = rbench_cost_toy\n")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))

    def start(*words):
        command = [sys.executable, "-P", "-m", "rbench.cli", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, **pipes)

    def run(*words):
        process = start(*words)
        out, err = process.communicate()
        return SimpleNamespace(code=process.returncode, out=out, err=err)

    return SimpleNamespace(run=run, start=start, folder=folder)


def methods(*names):
    return [word for name in names for word in ("-m", name)]


def stored(directory):
    """What is stored, by method."""
    entries = json.loads((directory / FILE).read_text())["benchmarks"]
    return {entry["extra_info"]["method"].partition("[")[0]: entry for entry in entries}


def ends(directory):
    (place,) = places(directory)
    return {row["method"].partition("[")[0]: (row["status"], row["reason"]) for row in place.rows(directory)}


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
    assert list(before) == ["sgd", "adam"]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (pid,) = (int(path.name[4:]) for path in waiting)
    while not gone(pid):
        time.sleep(0.05)
    assert stored(directory) == before
    table = CliRunner().invoke(app, ["table", str(directory), "--format", "json"])
    steps = {row["method"].partition("[")[0]: row["step_seconds"] for row in json.loads(table.stdout)}
    assert {method for method, seconds in steps.items() if seconds} == {"sgd", "adam"}

    (rbench.folder / "go").touch()
    done = rbench.run(*words)
    assert done.code == 0, done.err
    assert done.err.count(": kept from an earlier run") == 2
    assert done.err.count(" ms, ") == 2
    after = stored(directory)
    assert list(after) == ["sgd", "adam", "waits", "kfac"]
    # Each round's seconds are in them.
    assert {method: after[method] for method in before} == before
    assert {status for status, _ in ends(directory).values()} == {"ok"}


def test_fewer_cases_than_are_there_are_complete(rbench, tmp_path):
    words = "-o", tmp_path / "run"
    assert rbench.run(*TINY, *methods("sgd", "adam"), *words).code == 0
    before = stored(tmp_path / "run")
    done = rbench.run(*TINY, *methods("adam"), *words)
    assert done.code == 0, done.err
    assert stored(tmp_path / "run") == before


def test_a_process_that_dies_takes_one_case_with_it(rbench, tmp_path):
    directory = tmp_path / "run"
    words = (*TINY, *methods("dies", "sgd", "adam"), "-o", directory)
    done = rbench.run(*words)
    assert done.code == 1
    status, reason = ends(directory)["dies"]
    assert status == "crashed"
    assert "was ended by signal SIGKILL" in reason
    assert "test session starts" in (directory / reason.rpartition("see ")[2]).read_text()
    assert [line.partition(" ")[0] for line in done.err.splitlines()[1:4]] == ["[1/3]", "[2/3]", "[3/3]"]
    before = stored(directory)
    assert list(before) == ["sgd", "adam"]
    again = rbench.run(*words)
    assert again.code == 1
    assert again.err.count(": kept from an earlier run") == 2
    assert stored(directory) == before


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run of two cases."""
    folder = tmp_path_factory.mktemp("cost") / "run"
    done = CliRunner().invoke(app, [*TINY, *methods("sgd", "adam"), "-o", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


class TestWhatIsThere:
    """A copy of the run goes on with one case more; in place of a process there is a list of what it is asked for."""

    @pytest.fixture
    def directory(self, measured, tmp_path):
        return shutil.copytree(measured, tmp_path / "run")

    @pytest.fixture
    def go_on(self, directory, monkeypatch):
        """Run the command again; the methods that are measured, and what is said."""

        def call(*options, stop_after=None):
            asked, numbers = [], itertools.count(1)

            def ask(module, question, *, heard, threads, **others):
                plan = Plan.model_validate_json(question)
                for case in plan.cases:
                    if len(asked) == stop_after:
                        raise KeyboardInterrupt
                    asked.append(case.method.partition("[")[0])
                    extra = case.model_dump() | {"threads": threads, "device": "cpu", "libraries": {}}
                    stats = {name: float(next(numbers)) for name in ("median", "q1", "q3", "rounds")}
                    entry = {"extra_info": extra, "stats": stats}
                    told = {"case": str(case), "status": "ok", "entry": entry, "provenance": provenance()}
                    told["environment"] = cost_environment([case.method], plan.backend, plan.device)
                    heard(json.dumps(told).encode())
                return Answer("", "ok", None, "")

            monkeypatch.setattr(benchmarks, "ask", ask)
            words = [*TINY, *methods("sgd", "adam", "kfac[refresh=3]"), *options, "-o", str(directory)]
            done = CliRunner().invoke(app, words)
            return SimpleNamespace(asked=asked, err=done.stderr, code=done.exit_code)

        return call

    def test_a_case_more_is_all_that_is_measured(self, go_on, directory):
        before = stored(directory)
        assert go_on().asked == ["kfac"]
        after = stored(directory)
        assert list(after) == ["sgd", "adam", "kfac"]
        assert {method: after[method] for method in before} == before
        assert go_on().asked == []

    def test_a_run_that_is_stopped_goes_on(self, go_on, directory):
        before = stored(directory)
        stopped = go_on("--force", stop_after=1)
        assert stopped.code == 130
        assert (
            f"stopped; the same command with -o {directory}, without --force, goes on where it stopped" in stopped.err
        )
        assert stopped.asked == ["sgd"]
        after = stored(directory)
        assert after["adam"] == before["adam"]  # a figure goes only when the new one is there
        assert after["sgd"] != before["sgd"]
        assert go_on().asked == ["kfac"]

    def test_force_measures_all_again(self, go_on):
        assert go_on("--force").asked == ["sgd", "adam", "kfac"]

    def test_what_a_killed_run_was_just_writing_goes(self, go_on, directory):
        (directory / f".{FILE}.4711").write_text("{")
        go_on()
        assert not list(directory.glob(".*.json.*"))

    def test_what_pytest_benchmark_wrote_itself_is_read_and_kept(self, go_on, directory, tmp_path):
        written = tmp_path / "written.json"
        plan = places(directory)[0].plan
        environment = {**os.environ, "RBENCH_PLAN": plan.model_dump_json(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "pytest_benchmark.plugin"]
        command += [f"--benchmark-json={written}", "--pyargs", "rbench.cost.step_time_benchmarks"]
        subprocess.run(command, env=environment, check=True, capture_output=True, cwd=tmp_path)
        content = json.loads(written.read_text())
        content["machine_info"]["rbench"] = json.loads((directory / FILE).read_text())["machine_info"]["rbench"]
        (directory / FILE).write_text(json.dumps(content))
        medians = [entry["stats"]["median"] for entry in content["benchmarks"]]
        table = CliRunner().invoke(app, ["table", str(directory), "--format", "json"])
        assert [row["step_seconds"] for row in json.loads(table.stdout)] == medians
        assert go_on().asked == ["kfac"]
        assert [entry["stats"]["median"] for entry in stored(directory).values()][:2] == medians

    def test_pytest_benchmark_reads_what_is_stored(self, directory):
        command = [sys.executable, "-m", "pytest_benchmark", "compare", str(directory / FILE)]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert "test_step[16-8-4 batch 8 sgd[lr=0.1]]" in shown
        assert "test_step[16-8-4 batch 8 adam[lr=0.001]]" in shown

    def test_a_disk_that_is_full_ends_the_run_in_one_message(self, go_on, directory, monkeypatch):
        def full(*arguments, **others):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(benchmarks, "store_entry", full)
        done = go_on()
        assert done.code == 2
        assert done.err.splitlines()[-1] == (
            f"rbench: cannot run into {directory}: No space left on device; name another directory with -o"
        )
        assert done.asked == ["kfac"]
