"""Cells on the workers of a Dask scheduler: each comes home once, whatever becomes of the workers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from types import SimpleNamespace

import psutil
import pytest

import rbench
from helpers.command import INTERRUPTIBLE, call, run, start
from helpers.command import ended as finished
from helpers.faults import SPIRALS
from helpers.plugin_folder import install, install_faults, source
from rbench.run import read_records
from rbench.run.worker import run_cell

pytest.importorskip("distributed")

SMALL = SPIRALS.removeprefix("two-spirals")
ON_DASK = ("--executor", "dask", "--scheduler")
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def until(condition, process=None, seconds=60):
    """Wait for a condition that is not None, and return it."""
    end = time.monotonic() + seconds
    while (found := condition()) is None:
        if time.monotonic() > end or (process is not None and process.poll() is not None):
            words = "" if process is None or process.poll() is None else process.communicate()[1]
            raise AssertionError(f"waited for what did not come: {words}")
        time.sleep(0.02)
    return found


MINE = """from rbench import hookimpl
from rbench.methods import SGD


class Mine(SGD):
    name, summary = "mine", "of a file that this machine has"
    lr: float = {rate}


@hookimpl
def rbench_methods():
    return [Mine]


"""


class Machines:
    """A scheduler and workers, each a process, as on machines of their own.

    Args:
        folder: for their files, and for what the plugin leaves.
        words: that scheduler and workers are given.
    """

    def __init__(self, folder, *words):
        self.folder, self.words, self.started = folder, words, []
        found = install_faults(folder) | install(folder, "rbench_cluster", source("cluster_plugin"))
        self.env = found | QUIET | {"CLUSTER": str(folder)}
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file, *words
        )
        until(lambda: (file.exists() and file.stat().st_size) or None)
        self.address = json.loads(file.read_text())["address"]

    def _start(self, module, *words, **env):
        command = [sys.executable, "-m", f"distributed.cli.{module}", *map(str, words)]
        with open(self.folder / f"{module}-{len(self.started)}.log", "wb") as log:
            process = subprocess.Popen(
                command, env=self.env | env, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        self.started.append(process)
        return process

    def worker(self, *words):
        """Start a worker of two threads, of which one is to be used."""
        words = words or ("--no-nanny",)
        return self._start(
            "dask_worker", self.address, "--nthreads", 2, "--no-dashboard", "--host", "127.0.0.1",
            "--local-directory", self.folder, *self.words, *words, CLUSTER_WORKER="yes",
        )  # fmt: skip

    def run(self, *words, task="cluster-spirals", memory=False, **options):
        """Start the command, on the workers."""
        asked = ("run", "-t", task + SMALL, "--steps", 3, "--threads", 1, *ON_DASK, self.address, *words)
        asked = asked if memory else (*asked, "--no-memory")
        process = start(*asked, env=self.env, **INTERRUPTIBLE, **options)
        self.started.append(process)
        return process

    def waiting(self, count, process=None):
        """The processes of as many cells that wait, each with its worker's, once there are so many."""

        def found():
            pairs = {int(one.name[4:]): one.read_text() for one in self.folder.glob("pid-*")}
            alive = {pid: int(parent) for pid, parent in pairs.items() if parent and psutil.pid_exists(pid)}
            return alive if len(alive) == count else None

        return until(found, process)

    def go(self):
        """Let the cells that wait go on."""
        (self.folder / "go").touch()

    def close(self):
        """End all that was started."""
        for process in reversed(self.started):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in filter(None, (process.stdout, process.stderr)):
                pipe.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A scheduler with two workers, whom no test kills."""
    machines = Machines(tmp_path_factory.mktemp("machines"))
    try:
        machines.worker(), machines.worker()
        yield machines
    finally:
        machines.close()


@pytest.fixture
def machines(tmp_path):
    """A scheduler without workers."""
    (tmp_path / "machines").mkdir()
    found = Machines(tmp_path / "machines")
    try:
        yield found
    finally:
        found.close()


def records_of(directory):
    """The records of a directory by method and seed, each once and whole."""
    records, damaged = read_records(directory)
    assert damaged == []
    return {(record.cell.method.partition("[")[0], record.cell.seed): record for record in records}


FIRST = ("-m", "sgd", "-m", "cluster-marks", "-m", "fault-raises", "--seeds", 2, "-b", "cluster-numpy")


@pytest.fixture(scope="module")
def first(shared, tmp_path_factory):
    """A run of six cells on both workers, with a task and a backend that this machine has not."""
    directory = tmp_path_factory.mktemp("runs") / "first"
    done = finished(shared.run(*FIRST, "-o", directory, "--json", memory=True))
    return SimpleNamespace(directory=directory, done=done, records=records_of(directory))


class TestRun:
    def test_every_cell_comes_home_once_with_what_it_printed(self, first):
        ends = {
            "sgd": ("ok", None),
            "cluster-marks": ("ok", None),
            "fault-raises": ("crashed", "RuntimeError: boom"),
        }
        assert {key: (one.status, one.reason) for key, one in first.records.items()} == {
            (method, seed): end for method, end in ends.items() for seed in range(2)
        }, first.done.err
        assert first.done.code == 1
        assert len(json.loads(first.done.out)) == 6
        assert first.done.err.count("] cluster-spirals") == 6
        logs = sorted(first.directory.glob("cells/*.log"))
        assert len(logs) == 2
        assert all("last words" in log.read_text() and "Traceback" in log.read_text() for log in logs)

    def test_the_gate_and_the_memory_pass_are_the_workers(self, first):
        record = first.records["sgd", 0]
        assert record.gate.passed
        assert first.done.err.count("cases passed") == 1
        assert record.figures["peak_host_bytes"] > 0
        workers = {one.provenance["worker"] for one in first.records.values()}
        assert len(workers) == 2
        assert all(name.startswith("tcp://127.0.0.1:") for name in workers)

    def test_the_costs_of_steps_are_measured_on_the_workers_in_the_order_of_their_series(self, shared, tmp_path):
        words = ("run", "scaling", "-t", "depth", "-m", "sgd", "--batch-size", 4, "--threads", 1, "-o", tmp_path)
        done = run(*words, *ON_DASK, shared.address, env=shared.env)
        assert done.code == 0, done.err
        records = read_records(tmp_path)[0]
        assert {record.cell.size for record in records} == {1, 2, 4, 8, 16, 32, 64}
        assert all("worker" in record.provenance and record.figures["peak_host_bytes"] > 0 for record in records)
        told = [line for line in done.err.splitlines() if "] depth = " in line]
        assert [int(line.partition("depth = ")[2].partition(":")[0]) for line in told] == [1, 2, 4, 8, 16, 32, 64]

    def test_the_figures_are_those_of_this_machine(self, first):
        record = first.records["sgd", 1]
        local = record.cell.model_copy(update={"task": record.cell.task.replace("cluster", "two"), "backend": "numpy"})
        again = run_cell(local)
        keys = ("step", "train_loss", "test_loss", "test_accuracy")
        assert [[h[k] for k in keys] for h in again.history] == [[h[k] for k in keys] for h in record.history]

    def test_a_worker_never_has_two_cells(self, shared, first):
        marks = defaultdict(list)
        for line in (shared.folder / "marks").read_text().splitlines():
            worker, cell, word = line.split()
            marks[worker].append((cell, word))
        assert len(marks) == 2  # so that two cells can overlap, on workers of their own
        for found in marks.values():
            begun, done = found[::2], found[1::2]
            assert [(cell, "end") for cell, _ in begun] == done

    def test_a_worker_has_servers_of_which_cells_are_forked(self, shared, first, tmp_path):
        done = finished(shared.run("-m", "sgd", "--seeds", 2, "-b", "numpy", "-o", tmp_path / "run"))
        assert done.code == 0, done.err
        assert {one.started for one in records_of(tmp_path / "run").values()} == {"forked"}
        assert {one.started for one in first.records.values()} == {"fresh"}  # that backend does not ask for it

    def test_what_is_there_is_kept_and_repeated_with_force(self, shared, first):
        words = ("-m", "sgd", "--seeds", 1, "-b", "cluster-numpy", "-o", first.directory)
        kept = finished(shared.run(*words))
        assert (kept.code, "cells from an earlier run: 1; to run: 0" in kept.err) == (0, True), kept.err
        before = first.records["sgd", 0]
        forced = finished(shared.run(*words, "--force"))
        assert forced.code == 0, forced.err
        assert records_of(first.directory)["sgd", 0].figures["step_seconds"] != before.figures["step_seconds"]
        assert len(records_of(first.directory)) == 6

    def test_files_that_are_plugins_are_sent_and_a_worker_keeps_their_versions_apart(self, shared, tmp_path):
        path, sums = tmp_path / "mine.py", []
        for rate in (0.1, 0.2):
            path.write_text(MINE.format(rate=rate))
            words = ("--plugin", path, "-m", "mine", "--seeds", 1, "--no-memory", "-o", tmp_path / f"{rate}")
            done = finished(shared.run(*words, task="two-spirals"))
            assert done.code == 0, done.err
            records = read_records(tmp_path / f"{rate}")[0]
            sums.append({record.environment["source of mine.py"] for record in records})
            assert {record.training.method for record in records} == {f"mine[lr={rate}]"}
        assert [len(own) for own in sums] == [1, 1]
        assert sums[0] != sums[1]

    def test_a_file_that_the_workers_cannot_use_is_told_with_its_line(self, shared, tmp_path):
        path = tmp_path / "mine.py"
        path.write_text(MINE.format(rate=0.3) + "import os\nassert 'CLUSTER_WORKER' not in os.environ\n")
        done = finished(shared.run("--plugin", path, "-m", "mine", "-o", tmp_path / "run", task="two-spirals"))
        assert done.code == 2
        assert "mine.py:16: AssertionError" in done.err.partition("no worker can run these cells:")[2]

    def test_a_backend_that_fails_its_gate_there_is_not_timed(self, shared, tmp_path):
        done = finished(shared.run("-m", "sgd", "--seeds", 1, "-b", "cluster-wrong", "-o", tmp_path / "run"))
        (record,) = records_of(tmp_path / "run").values()
        assert (done.code, record.status) == (1, "skipped")
        assert "not timed: equivalence gate, cluster-wrong" in record.reason

    def test_a_backend_that_the_workers_lack_is_refused(self, shared, tmp_path):
        done = finished(shared.run("-m", "sgd", "-b", "cupy", "-o", tmp_path / "run"))
        assert done.code == 2
        assert "no worker can run these cells:\n  worker tcp://127.0.0.1:" in done.err
        assert "backend 'cupy' is unavailable" in done.err

    def test_another_rbench_is_refused_with_both_named(self, shared, tmp_path, monkeypatch):
        theirs = rbench.__version__
        monkeypatch.setattr(rbench, "__version__", "99.0")
        words = ("run", "-t", SPIRALS, "-m", "sgd", "--threads", 1, "-o", tmp_path / "run")
        done = call(*words, *ON_DASK, shared.address)
        assert done.exit_code == 2
        reason = (
            f"it has rbench {theirs} where this process has 99.0; install the same there and start the worker again"
        )
        assert reason in done.output.partition("no worker can run these cells:")[2]
        assert records_of(tmp_path / "run") == {}

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
    def test_a_run_that_ends_takes_its_cells_with_it_and_leaves_the_workers(self, shared, tmp_path, end):
        words = ("-m", "fault-waits", "--seeds", 3, "-b", "cluster-numpy", "-o", tmp_path / "run")
        process = shared.run(*words)
        cells = shared.waiting(2, process)
        process.send_signal(end)
        done = finished(process)
        assert done.code == (130 if end == signal.SIGINT else -end)
        assert "Traceback" not in done.err
        shared.waiting(0)
        assert all(psutil.pid_exists(worker) for worker in cells.values())
        assert records_of(tmp_path / "run") == {}


class TestLosses:
    def test_a_killed_worker_loses_no_cell_and_a_new_one_takes_part(self, machines, tmp_path):
        process = machines.run("-m", "fault-waits", "--seeds", 4, "-b", "cluster-numpy", "-o", tmp_path / "run")
        assert "no worker to run 4 cells: waiting for one" in process.stderr.readline()
        machines.worker(), machines.worker()
        running = machines.waiting(2, process)
        lost, stays = running.values()
        os.kill(lost, signal.SIGKILL)
        machines.waiting(1, process)
        machines.worker()
        (came,) = set(machines.waiting(2, process).values()) - {stays}
        assert came != lost
        machines.go()
        done = finished(process)
        assert done.code == 0, done.err
        records = records_of(tmp_path / "run")
        assert {key: one.status for key, one in records.items()} == {("fault-waits", seed): "ok" for seed in range(4)}
        assert done.err.count("is queued again: worker tcp://127.0.0.1:") == 1
        assert done.err.count("] cluster-spirals") == 4
        assert len({one.provenance["worker"] for one in records.values()}) == 2

    def test_a_cell_that_kills_its_workers_ends_as_crashed(self, machines, tmp_path):
        machines.worker("--nanny")  # which starts another
        words = ("-m", "cluster-kills", "-m", "sgd", "--seeds", 1, "-b", "cluster-numpy", "--retries", 1)
        done = finished(machines.run(*words, "-o", tmp_path / "run"))
        records = records_of(tmp_path / "run")
        assert done.code == 1
        assert records["sgd", 0].status == "ok", records["sgd", 0].reason
        killed = records["cluster-kills", 0]
        assert killed.status == "crashed"
        assert killed.reason.startswith("tried 2 times without a record: worker tcp://127.0.0.1:")
        assert killed.reason.count("worker tcp://127.0.0.1:") == 2
        assert done.err.count("is queued again") == 1

    def test_a_scheduler_that_goes_away_ends_the_run_and_its_cells(self, machines, tmp_path):
        machines.worker()
        words = ("-m", "fault-waits", "--seeds", 1, "-b", "cluster-numpy", "-o", tmp_path / "run")
        process = machines.run(*words)
        machines.waiting(1, process)
        machines.scheduler.kill()
        done = finished(process)
        assert done.code == 2
        assert f"the scheduler {machines.address} went away" in done.err
        assert "Traceback" not in done.err
        assert records_of(tmp_path / "run") == {}
        machines.waiting(0)
