"""Data of a run are made by processes under the cells' limits; what becomes of these is told of the cells."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest

from helpers import faults
from helpers.command import INTERRUPTIBLE
from helpers.faults import cell, first_number
from rbench.errors import DataError, SpecError
from rbench.methods import Riemannian
from rbench.plugins import plugins
from rbench.run import check, read_records
from rbench.run.child_process import Stopped, run_child
from rbench.run.data import Wanted, find_data, wanted

SIZES = "n_train=60,n_test=20,batch_size=20,hidden=[8]"
ENDS = {
    "raises": ("crashed", "RuntimeError: boom"),
    "killed": ("crashed", "loading its data: its process was ended by signal SIGKILL; .*"),
    "leaves": ("crashed", "loading its data: its process ended without an answer"),
    "hangs": ("timeout", "loading its data: did not end within 8 s"),
    "allocates": (
        "out_of_memory",
        r"loading its data: its process held [\d,]+ MiB, above the limit of 400 MiB",
    ),
    "seedless": ("crashed", "DataError: fault-data.*: the data are not those that the run found: .*data_seed"),
    "well": ("ok", None),
}


def task(how):
    return f"fault-data[how={how},{SIZES}]"


CANONICAL = {
    how: f"fault-data[batch_size=20,n_train=60,n_test=20,hidden=[8]{'' if how == 'well' else f',how={how}'}]"
    for how in ENDS
}
"""The tasks as records name them."""


def words(directory, *hows, more=()):
    chosen = [word for how in hows for word in ("-t", task(how))]
    return ("run", *chosen, "-m", "sgd", "--steps", "3", "--threads", "1", "-o", directory, *more)


@pytest.fixture
def found(plugin, faults_found, monkeypatch):
    """This process finds the plugin as well."""
    monkeypatch.syspath_prepend(plugin.folder)
    manager, module = plugins().manager, importlib.import_module("rbench_faults")
    if not manager.is_registered(module):  # where this process has looked for plugins before
        manager.register(module)
    yield
    manager.unregister(module)


@pytest.fixture(scope="module")
def first(plugin, tmp_path_factory):
    """A run of every fault, and of data of which nothing is wrong, before, between and after."""
    directory = tmp_path_factory.mktemp("runs") / "first"
    limits = ("--timeout", "8s", "--memory-limit", "400M", "-t", "regression[n_train=1000000,n_test=20]")
    code, errors = faults.finish(*words(directory, *ENDS, more=limits), env=plugin.env)
    records = {record.cell.task: record for record in read_records(directory)[0]}
    return SimpleNamespace(directory=directory, code=code, errors=errors, records=records)


@pytest.mark.parametrize("how", ENDS)
def test_every_fault_of_data_is_a_row_and_the_other_tasks_run(first, how):
    assert len(first.records) == len(ENDS) + 1, first.errors
    record = first.records[CANONICAL[how]]
    status, reason = ENDS[how]
    assert record.status == status, record.reason
    assert reason is None or re.fullmatch(reason, record.reason), record.reason
    assert first.code == 1
    assert "Traceback" not in first.errors


def test_data_that_cannot_fit_are_not_begun(first):
    (record,) = (one for name, one in first.records.items() if name.startswith("regression"))
    assert record.status == "skipped"
    assert re.fullmatch(
        "the data of regression take 42[0-9] MiB at least, and the memory limit is 400 MiB", record.reason
    )


def test_the_parent_makes_no_data(plugin, tmp_path):
    for path in plugin.folder.glob("loaded-*"):
        path.unlink()
    process = faults.start(*words(tmp_path / "run", "well"), env=plugin.env)
    process.communicate(timeout=200)
    loaded = {path.name: path.read_text() for path in plugin.folder.glob("loaded-*")}
    assert process.returncode == 0
    assert f"loaded-{process.pid}" not in loaded
    assert sorted(text.rpartition("/")[2] for text in loaded.values()) == [
        "data_worker.py", "memory_worker.py", "worker.py",
    ]  # fmt: skip


@pytest.mark.parametrize("more", [("-n",), ("-n", "--json")])
def test_a_dry_run_makes_no_data(plugin, tmp_path, more):
    for path in plugin.folder.glob("loaded-*"):
        path.unlink()
    code, _ = faults.finish(*words(tmp_path / "run", "well", more=more), env=plugin.env)
    assert (code, list(plugin.folder.glob("loaded-*"))) == (0, [])


def test_data_that_fail_the_checks_end_the_command_before_any_work(plugin, tmp_path):
    code, errors = faults.finish(*words(tmp_path / "run", "well", "holes"), env=plugin.env)
    assert code == 2
    assert re.search(r"rbench: fault-data\[.*how=holes.*\]: x_train has nan at \[0, 0\]; give finite numbers", errors)
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_stopped_while_data_load_leaves_no_process(plugin, tmp_path):
    faults.forget(plugin.folder)
    process = faults.start(*words(tmp_path / "run", "hangs"), env=plugin.env, **INTERRUPTIBLE)
    worker = psutil.Process(first_number(plugin.folder, process))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert psutil.wait_procs([worker], timeout=10)[1] == []


class TestFinding:
    def test_a_death_behind_others_is_tried_alone_before_it_counts(self, found):
        asked = [Wanted(task=task(how)) for how in ("well", "killed", "raises")]
        well, killed, raises = find_data(asked).values()
        assert (well.status, well.n_train, len(well.sha256)) == (None, 60, 64)
        assert (killed.status, raises.status) == ("crashed", "crashed")

    def test_words_are_those_of_the_task(self):
        with pytest.raises(SpecError, match=r"batch_size=24 is more than the 20 training data that validation leaves"):
            find_data([Wanted(task="lanczos[batch_size=24,validation=true]")])
        with pytest.raises(DataError, match=r"mnist: .*absent and could not be fetched|is not the published"):
            find_data([Wanted(task="mnist")])

    def test_it_can_be_stopped(self, found):
        stop = threading.Event()
        threading.Timer(3, stop.set).start()
        start = time.monotonic()
        with pytest.raises(Stopped):
            find_data([Wanted(task=task("hangs"))], stop=stop)
        assert time.monotonic() - start < 20

    def test_the_narrowest_dtype_counts(self):
        made = [cell(task="digits", dtype=dtype) for dtype in ("float64", "float32")]
        assert {one.dtype for one in wanted(made).values()} == {"float32"}
        assert wanted(made[:1])[made[0].key].dtype == "float64"

    def test_free_memory_counts_where_it_is_less_than_the_limit(self, monkeypatch):
        free = SimpleNamespace(available=2**20)
        monkeypatch.setattr("rbench.run.data.psutil.virtual_memory", lambda: free)
        (one,) = find_data([Wanted(task="regression[n_train=10000]")], memory_limit=2**30).values()
        assert (one.status, one.reason) == (
            "skipped", "the data of regression take 4 MiB at least, and 1 MiB are free",
        )  # fmt: skip


TIDY = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.default_int_handler)
path = Path(sys.argv[1])
try:
    path.touch()
    time.sleep(600)
finally:
    path.unlink()
"""


class TestAsking:
    def test_a_process_that_is_ended_may_tidy_up(self, tmp_path, monkeypatch):
        (tmp_path / "tidy_worker.py").write_text(TIDY)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        for grace, left in ((5.0, False), (0.0, True)):
            file = tmp_path / f"part-{grace}"
            answer = run_child("tidy_worker", threads=1, arguments=[str(file)], timeout=2, grace=grace)
            assert answer.status == "timeout"
            assert file.exists() is left

    def test_the_timeout_may_count_from_the_last_line(self, tmp_path, monkeypatch):
        (tmp_path / "slow_worker.py").write_text(
            "import time\nfor n in range(4):\n    time.sleep(0.8)\n    print(n, flush=True)\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        whole, each = (
            run_child("slow_worker", threads=1, timeout=2.4, for_each_line=for_each_line)
            for for_each_line in (False, True)
        )
        assert (whole.status, each.status, each.text.split()) == ("timeout", "ok", ["0", "1", "2", "3"])

    def test_a_progress_bar_reaches_the_terminal_and_no_file(self, tmp_path):
        pty = pytest.importorskip("pty")
        (tmp_path / "bar_worker.py").write_text("import sys\nprint(sys.stderr.isatty(), 'bar', file=sys.stderr)\n")
        script = (
            "from rbench.run.child_process import run_child\n"
            "print([run_child('bar_worker', threads=1, on_terminal=on).errors for on in (True, False)])"
        )
        here, there = pty.openpty()
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        command, env = [sys.executable, "-c", script], os.environ | {"PYTHONPATH": path}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=there, text=True, check=True)
        os.close(there)
        assert os.read(here, 1000).decode().split() == ["True", "bar"]
        os.close(here)
        assert json.loads(done.stdout.replace("'", '"')) == ["", "False bar\n"]


class TestMetricBatch:
    def made(self, batch, metric_batch=30):
        return cell(Riemannian(metric_batch=metric_batch).spec, task=f"two-spirals[n_train=60,batch_size={batch}]")

    def test_it_is_at_most_the_batch(self):
        check([self.made(30), self.made("none", 60)])
        with pytest.raises(SpecError, match="metric_batch=30 is more than the 29 data of a batch; lower it"):
            check([self.made(29)])

    def test_it_is_at_most_all_data_where_those_are_the_batch(self, plugin, tmp_path):
        given = ("-t", "two-spirals[n_train=60,n_test=20,batch_size=none]", "-m", "riemannian[metric_batch=61]")
        code, errors = faults.finish("run", *given, "--steps", "1", "-o", tmp_path / "run", env=plugin.env)
        assert code == 2
        assert "metric_batch=61 is more than the 60 data of a batch" in errors
