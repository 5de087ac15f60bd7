"""`rbench run` from end to end, with a plugin's methods that fail in every way, over one directory of each kind."""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import command
from helpers.faults import first_number, forget, path_of
from helpers.plugin_folder import install_faults
from rbench.run import FIELDS, read_records
from rbench.run.worker import run_cell

SPIRALS = "two-spirals[n_train=60,n_test=20,batch_size=20,hidden=[8],activation=relu]"
ENDS = {
    "fault-raises[lr=0.1]": ("crashed", ["RuntimeError: boom"]),
    "fault-kills-itself[lr=0.1]": ("crashed", ["signal SIGKILL"]),
    "fault-exits[lr=0.1]": ("crashed", ["exit status 3: last words"]),
    "sgd[lr=0.1]": ("ok", []),
    "sgd[lr=1e+30]": ("diverged", ["step 1", "lower lr"]),
    "riemannian[output_metric=ggn_mc,lr=1e+30,mass=0.1]": ("diverged", ["layer 0", "step 1", "lower lr"]),
    "kfac[lr=1e+30,damping=0.1,damping_split=eigen]": ("diverged", ["step 1", "lower lr"]),
    "adam[lr=0.001]": ("ok", []),
    "naive[output_metric=ggn_mc,lr=0.01,mass=0.1]": (
        "skipped",
        ["would need 16", "GiB", "solver 'inverse' at layer 0", "120,000", "are free"],
    ),
}


@pytest.fixture(scope="module")
def rbench(tmp_path_factory):
    """The command, in an environment with the plugin; `start` returns the process at once."""
    folder = tmp_path_factory.mktemp("plugins")
    options = {"env": install_faults(folder), **command.INTERRUPTIBLE}
    return SimpleNamespace(run=partial(command.run, **options), start=partial(command.start, **options), folder=folder)


@pytest.fixture(scope="module")
def first(rbench, tmp_path_factory):
    """A run of the suite `faults`: its directory, what it printed, and its records by method."""
    directory = tmp_path_factory.mktemp("runs") / "first"
    done = rbench.run("run", "faults", "--steps", 40, "-o", directory, "-j", 2, "--threads", 1, "--json")
    records, damaged = read_records(directory)
    assert damaged == []
    return SimpleNamespace(directory=directory, done=done, records={r.cell.method: r for r in records})


@pytest.mark.parametrize("method", ENDS)
def test_every_end_is_a_row_with_its_reason(first, method):
    status, words = ENDS[method]
    record = first.records[method]
    assert record.status == status, record.reason
    assert (record.reason is None) == (status == "ok")
    for word in words:
        assert word in record.reason
    results = [record.row()[name] for name in ("train_loss", "test_loss", "test_accuracy", "train_seconds")]
    assert all((value is None) == (status != "ok") for value in results)


def test_the_run_says_how_it_went(first):
    assert first.done.code == 1
    assert "Traceback" not in first.done.err
    for method in ENDS:
        assert f" {method} numpy float32 seed 0: {ENDS[method][0]}" in first.done.err
    rows = json.loads(first.done.out, parse_constant=pytest.fail)
    assert [row["method"] for row in rows] == list(ENDS)
    assert all(tuple(row) == FIELDS for row in rows)
    assert (rows[3]["target_reached"], rows[3]["seconds_to_target"]) == (False, None)


def test_the_directory_holds_the_request_and_nothing_half_written(first):
    whole = json.loads((first.directory / "run.json").read_text())
    assert set(whole["request"]) >= {"suites", "methods", "seeds", "budget", "dtypes"}
    assert whole["provenance"]["python"] == sys.version.split()[0]
    assert sorted(whole["cells"]) == sorted(record.cell.key for record in first.records.values())
    endings = {path.suffix for path in (first.directory / "cells").iterdir()}
    assert endings == {".json", ".log"}
    log = path_of(first.directory, first.records["fault-exits[lr=0.1]"]).with_suffix(".log").read_text()
    assert log.splitlines() == ["to standard output", "last words"]


def test_another_process_finds_the_same_figures(first):
    record = first.records["sgd[lr=0.1]"]
    again = run_cell(record.cell)
    keys = ("step", "train_loss", "test_loss", "test_accuracy")
    assert [[h[k] for k in keys] for h in again.history] == [[h[k] for k in keys] for h in record.history]


def test_a_damaged_record_is_reported_and_only_it_is_run_again(rbench, first):
    kept = [
        path_of(first.directory, first.records[method])
        for method in ("sgd[lr=1e+30]", "fault-kills-itself[lr=0.1]", "adam[lr=0.001]")
    ]
    damaged = path_of(first.directory, first.records["sgd[lr=0.1]"])
    damaged.write_text(damaged.read_text()[:200])
    table = rbench.run("table", first.directory)
    assert table.code == 0
    assert str(damaged) in table.err
    assert "1 of 9 cells have no record; run it again" in table.err
    assert "crashed: RuntimeError: boom" in table.out

    before = [path.stat().st_mtime_ns for path in kept]
    asked = ("-t", SPIRALS, "-m", "sgd[lr=0.1]", "-m", "sgd[lr=1e30]", "--steps", 40, "--threads", 1)
    again = rbench.run("run", "faults", *asked, "-o", first.directory)
    assert "cells from an earlier run: 1; to run: 1" in again.err
    assert again.code == 1
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert json.loads(damaged.read_text())["status"] == "ok"


def test_force_runs_again(rbench, first):
    path = path_of(first.directory, first.records["sgd[lr=0.1]"])
    before = path.stat().st_mtime_ns
    asked = ("-t", SPIRALS, "-m", "sgd[lr=0.1]", "--steps", 40, "--threads", 1)
    done = rbench.run("run", "faults", *asked, "-o", first.directory, "--force")
    assert done.code == 0
    assert "earlier run" not in done.err
    assert path.stat().st_mtime_ns > before


def test_the_memory_pass_can_be_left_out(rbench, tmp_path):
    asked = ["run", "-t", SPIRALS, "-m", "sgd", "--steps", 2, "--json"]
    for memory, measured in (("--no-memory", False), ("--memory", True)):
        (row,) = json.loads(rbench.run(*asked, memory, "-o", tmp_path / memory).out)
        assert (row["status"], row["memory_reason"]) == ("ok", None)
        assert (row["peak_host_bytes"] is not None) == measured


def test_a_run_that_hangs_or_is_interrupted_resumes(rbench, tmp_path):
    directory = tmp_path / "run"
    words = ("run", "faults", "-t", SPIRALS, "-m", "fault-waits", "-m", "adam", "--steps", 3, "-o", directory)
    late = rbench.run(*words, "--timeout", "4s")
    records = {record.cell.method: record for record in read_records(directory)[0]}
    assert late.code == 1
    waited = records["fault-waits[lr=0.1]"]
    assert (waited.status, waited.reason) == ("timeout", "did not end within 4 s")
    assert len(records) == 2

    forget(rbench.folder)
    process = rbench.start(*words)
    pid = first_number(rbench.folder, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"the same command with -o {directory}, without --force, goes on" in err
    assert "Traceback" not in err
    assert not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text()
    records, damaged = read_records(directory)
    # The earlier end stands until there is another.
    ends = {record.cell.method: record.status for record in records}
    assert ends["fault-waits[lr=0.1]"] == "timeout"
    assert damaged == []
    assert not list((directory / "cells").glob(".*"))

    (rbench.folder / "go").touch()
    done = rbench.run(*words)
    assert done.code == 0, done.err
    ends = {record.cell.method: record.status for record in read_records(directory)[0]}
    assert ends == {"fault-waits[lr=0.1]": "ok", "adam[lr=0.001]": "ok"}
