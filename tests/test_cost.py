"""`rbench run step-time` on tiny cases."""

import importlib.util
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import command
from helpers.faults import SPIRALS
from rbench.cost import COST_FIELDS, PartTime, StepTime, network, parts
from rbench.errors import SpecError
from rbench.plugins import plugins
from rbench.run import Request, read_records
from rbench.run.provenance import environment

TINY = ("-t", "16-8-4", "--batch-size", "8", "--threads", "1")


def test_networks_by_name():
    net, shape = network("784-256-128-10")
    assert (shape, [layer.weight_shape for layer in net.layers]) == ((784,), [(256, 784), (128, 256), (10, 128)])
    assert [layer.weight_shape for layer in network("4-3x2-2")[0].layers] == [(3, 4), (3, 3), (2, 3)]
    net, shape = network("cnn")
    assert net.out_space((shape,)) == ((10,),)
    for wrong in ("784", "784-0-10", "vgg", "a-b", "4-" + "9" * 5000):
        with pytest.raises(SpecError, match=f"no network is called '{wrong[:9]}.*784-256-128-10.*cnn"):
            network(wrong)
    with pytest.raises(SpecError, match=r"no network is called 'resnet-8' \(did you mean 'resnet8'\?\)"):
        network("resnet-8")


@pytest.mark.parametrize("name", ["784-64x1000000-10", "2-1x999999999999999999-2", "4-" + "1-" * 20_000 + "1"])
def test_a_network_of_too_many_layers_is_refused_before_it_is_made(name):
    with pytest.raises(SpecError, match=r"has [0-9,]+ layers; give at most 10,000"):
        network(name)


def test_the_suite_plans_every_method_on_every_network_and_the_parts():
    suite = plugins().find("suites", "step-time")
    cells = Request(suites=("step-time",), threads=1).cells()
    steps = [cell for cell in cells if isinstance(cell, StepTime)]
    assert len(steps) == len(suite.networks) * len(suite.methods)
    assert [cell.part for cell in cells if isinstance(cell, PartTime)] == list(parts.PARTS)
    assert {cell.batch_size for cell in steps} == {128}


def test_a_bare_method_is_each_of_the_suites_own():
    methods = ("kfac", "sgd[lr=[0.1,0.2]]")
    asked = Request(suites=("step-time",), tasks=("4-3-2",), methods=methods, dtypes=("float64", "float32"))
    cells = asked.cells()
    assert [cell.method for cell in cells] == 2 * [
        "kfac[lr=0.01,damping=0.1,decay=0]", "kfac[lr=0.01,damping=0.1,refresh=10]", "kfac[lr=0.01,damping=0.1]",
        "sgd[lr=0.1]", "sgd[lr=0.2]",
    ]  # fmt: skip
    assert [cell.dtype for cell in cells] == 5 * ["float64"] + 5 * ["float32"]


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return command.call


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run of tiny steps on NumPy, and what the command printed."""
    folder = tmp_path_factory.mktemp("cost") / "run"
    methods = ("-m", "sgd", "-m", "kfac[refresh=3]")
    words = ("run", "step-time", *TINY, *methods, "-o", folder)
    done = command.call(*words)
    assert done.exit_code == 0, done.output
    return SimpleNamespace(folder=folder, done=done, words=words)


def test_a_run_leaves_records_and_what_pytest_benchmark_has_of_them(measured):
    records = read_records(measured.folder)[0]
    assert {record.cell.method for record in records} == {"sgd[lr=0.1]", "kfac[lr=0.01,damping=0.1,refresh=3]"}
    for record in records:
        assert record.environment == environment(record.cell)
        assert record.gate.misses == ()
        assert record.figures["n_parameters"] == 16 * 8 + 8 + 8 * 4 + 4
    entries = json.loads((measured.folder / "step-time-numpy.json").read_text())["benchmarks"]
    rounds = {entry["extra_info"]["method"]: entry["stats"]["rounds"] for entry in entries}
    assert rounds == {record.cell.method: record.figures["rounds"] for record in records}
    assert min(rounds.values()) >= 5
    whole = json.loads((measured.folder / "run.json").read_text())
    assert whole["request"]["tasks"] == ["16-8-4"]
    assert whole["provenance"]["python"]


def test_pytest_benchmark_reads_what_is_published(measured):
    shown = command.run("compare", measured.folder / "step-time-numpy.json", module="pytest_benchmark")
    assert shown.code == 0, shown.err
    assert "16-8-4 batch 8 sgd[lr=0.1] numpy float32" in shown.out


def test_the_benchmarks_run_under_pytest_alone(measured, tmp_path):
    cell = next(record.cell for record in read_records(measured.folder)[0] if record.cell.method == "sgd[lr=0.1]")
    environ = {**os.environ, "RBENCH_CELL": cell.model_dump_json(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environ.pop("PYTEST_XDIST_WORKER", None)
    words = ["-c", os.devnull, "-p", "pytest_benchmark.plugin", f"--benchmark-json={tmp_path / 'out.json'}"]
    words += ["--pyargs", "rbench.cost.step_time_benchmarks"]
    done = command.run(*words, module="pytest", env=environ, cwd=tmp_path)
    assert done.code == 0, done.out
    (entry,) = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert entry["extra_info"]["method"] == "sgd[lr=0.1]"


def test_a_run_says_how_it_goes_on_and_ends_with_the_table(measured):
    lines = measured.done.stderr.splitlines()
    assert lines[0].startswith("equivalence gate, numpy float32 on cpu")
    assert re.fullmatch(r"\[1/2\] 16-8-4 batch 8 sgd\[lr=0.1\] numpy float32: ok, \S+ ms, \S+ × sgd", lines[1])
    assert lines[-1] == f"records: {measured.folder}"
    head, _, sgd, kfac, *notes = measured.done.stdout.splitlines()
    titles = ["network", "batch", "method", "backend", "device", "dtype", "step ms", "over sgd", "floor"]
    assert [word.strip() for word in head.split("|")[1:-1]] == titles
    assert sgd.split("|")[9].strip() == "1.00"
    assert float(kfac.split("|")[9]) > 1
    assert "- Threads: 1." in notes


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html", "json"])
def test_every_form_of_the_table(call, measured, form):
    done = call("table", measured.folder, "--format", form)
    assert done.exit_code == 0
    assert done.stderr == ""
    for words in ("16-8-4", "sgd[lr=0.1]", "kfac[lr=0.01,damping=0.1,refresh=3]", "numpy", "float32"):
        assert words in done.stdout.replace(r"\allowbreak{}", "")


def test_the_rows_hold_ordered_quartiles(call, measured):
    rows = json.loads(call("table", measured.folder, "--format", "json").stdout)
    assert all(tuple(row) == COST_FIELDS for row in rows)
    for row in rows:
        assert row["step_ratio_low"] <= row["step_ratio_to_sgd"] <= row["step_ratio_high"]
        assert 0 < row["step_seconds_low"] <= row["step_seconds"] <= row["step_seconds_high"]
    assert (rows[0]["part"], rows[0]["status"], rows[0]["floor"], rows[0]["compile_seconds"]) == (None, "ok", 1, None)


def test_what_is_measured_is_kept(call, measured):
    before = {path.name: path.stat().st_mtime_ns for path in (measured.folder / "cells").iterdir()}
    done = call(*measured.words, "--json")
    assert done.stderr.splitlines()[0] == "cells from an earlier run: 2; to run: 0"
    assert len(json.loads(done.stdout)) == 2
    assert {path.name: path.stat().st_mtime_ns for path in (measured.folder / "cells").iterdir()} == before


def test_runs_of_two_experiments_in_one_table_and_one_directory(call, measured):
    assert call("run", "-t", SPIRALS, "-m", "sgd", "--steps", 3, "-o", "trained").exit_code == 0
    done = call("table", "trained", measured.folder)
    assert done.exit_code == 0
    assert done.stdout.index("two-spirals") < done.stdout.index("16-8-4")
    rows = json.loads(call("table", "trained", measured.folder, "--format", "json").stdout)
    assert [row.get("task") is None for row in rows] == [False, True, True]
    refused = call("table", measured.folder, "--history")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert (
        "history, ranks, profile, sensitivity and curves are of training, and these are of step-time" in refused.stderr
    )
    assert call("run", "memory", *TINY, "-m", "sgd", "-o", "trained").exit_code == 0
    rows = json.loads(call("table", "trained", "--format", "json").stdout)
    assert {row["suite"] for row in rows} == {"quick", "memory"}


def test_parts_of_a_step_are_cells_of_their_own(call):
    done = call("run", "step-time", "-n")
    assert "step-time gram product numpy float32" in done.stdout.splitlines()


def test_a_step_that_fails_takes_no_other_down(call):
    done = call("run", "step-time", *TINY, "-m", "naive[mass=0.1]", "-m", "sgd", "-t", "20000-2000-4", "-o", "run")
    assert done.exit_code == 1
    records = {(one.cell.network, one.cell.method.partition("[")[0]): one for one in read_records(Path("run"))[0]}
    assert records["20000-2000-4", "naive"].status == "skipped"
    assert "GiB" in records["20000-2000-4", "naive"].reason
    assert {key for key, record in records.items() if record.status == "ok"} == {
        ("16-8-4", "naive"), ("16-8-4", "sgd"), ("20000-2000-4", "sgd"),
    }  # fmt: skip
    assert "skipped: would need" in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_package\n", "crashed: RbenchError: the_module has no benchmark of it"),
        ("def test_something_else():\n    pass\n", "crashed: RbenchError: the_module has no benchmark of it"),
        (
            "import pytest\nfrom rbench.cost.step_time_benchmarks import CELLS\n"
            "@pytest.mark.parametrize('cell', CELLS)\n"
            "def test_step(benchmark, cell):\n    raise OverflowError('big')\n",
            "crashed: OverflowError: big",
        ),
    ],
)
def test_a_module_of_benchmarks_that_measures_nothing_is_a_row(call, tmp_path, monkeypatch, text, words):
    (tmp_path / "the_module.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    suite = replace(plugins().find("suites", "step-time"), benchmarks="the_module")
    monkeypatch.setitem(plugins().registered("suites"), "step-time", suite)
    done = call("run", "step-time", *TINY, "-m", "sgd", "-o", "run")
    assert done.exit_code == 1
    assert words in done.stdout


REFUSED = {
    "run step-time --epochs 1": "suite 'step-time' has no use for --steps, --epochs, --seconds: leave that out",
    "run step-time --seeds 2 --unofficial-data": "no use for --seeds, --unofficial-data",
    "run quick step-time --seeds 2": "suite 'step-time' has no use for --seeds",
    "run step-time -t 784": "no network is called '784'",
    "run step-time -m nope": "no method is called 'nope'",
    "run step-time -b nope": "no backend is called 'nope'",
    "run step-time --dtype float16": "'numpy' has no dtype 'float16'",
    "tune step-time -m sgd --trials 2": "suite 'step-time' has no settings to tune: name one that",
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_request_is_one_message_and_status_2(call, tmp_path, words):
    done = call(*words.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert REFUSED[words] in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_pytest_benchmark_it_says_what_to_install(call, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pytest_benchmark" else find(name))
    done = call("run", "step-time", *TINY, "-o", "run")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "pip install 'rbench[bench]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_lists_the_cells(call, tmp_path):
    lines = call("run", "step-time", "-t", "16-8-4", "-m", "sgd", "-m", "adam", "-n").stdout.splitlines()
    assert lines == [
        "step-time 16-8-4 batch 128 sgd[lr=0.1] numpy float32",
        "step-time 16-8-4 batch 128 adam[lr=0.001] numpy float32",
        "cells: 2",
    ]
    (cell,) = json.loads(call("run", "step-time", "-t", "16-8-4", "-m", "sgd", "-n", "--json").stdout)
    assert (cell["experiment"], cell["network"], cell["method"]) == ("step-time", "16-8-4", "sgd[lr=0.1]")
    assert list(tmp_path.iterdir()) == []
