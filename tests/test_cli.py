"""The command line: what it refuses and how, and what its commands print."""

import json
import re
import sys

import pytest

from helpers import command
from helpers.faults import SPIRALS
from rbench.plugins import NEEDED, plugins
from rbench.run import FIELDS, Request, read_records
from rbench.run.record import write_record

SMALL = ("run", "-t", SPIRALS, "-m", "sgd[lr=0.2]", "--steps", "3")


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run the command in this process, in an empty folder, without data sets or network."""

    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RBENCH_DATA", raising=False)
    monkeypatch.setattr("pooch.retrieve", offline)
    return command.call


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A run of one small cell, through the command in a process of its own."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    done = command.run(*SMALL, "-o", folder)
    assert done.code == 0, done.err
    for text in (done.out, done.err):
        assert "\x1b" not in text
        assert "\r" not in text
    assert done.out.startswith("**two-spirals**")
    gate, *lines = done.err.splitlines()
    assert re.fullmatch(r"equivalence gate, numpy float32 on cpu: \d+ cases passed, worst relative error \S+", gate)
    assert lines == [
        "[1/1] two-spirals[batch_size=20,n_train=60,n_test=20,hidden=[8]] sgd[lr=0.2] numpy float32 seed 0: ok",
        f"records: {folder}",
    ]
    return folder


REFUSED = {
    "run nope": "no suite is called 'nope'; there are: .*mnist.*quick",
    "run -t nope -m sgd": "no task is called 'nope'; there are: .*digits",
    "run -t lanczos": "suite 'quick' has no task 'lanczos'.*--method.*digits",
    "run -t digits[depth=1]": "digits has no setting 'depth'; its settings are: .*hidden",
    "run -m nope": "no method is called 'nope'; there are: adam, .*ekfac, kfac",
    "run -m sgd[rate=1]": "sgd has no setting 'rate'; its settings are: .*lr",
    "run -m sgd[lr=0.1": "cannot read 'sgd\\[lr=0.1'; write name",
    "run -b nope": "no backend is called 'nope'; there are: .*numpy",
    "run --dtype float16": "'numpy' has no dtype 'float16'; choose one of float32, float64",
    "run --device cuda": "'numpy' has no device 'cuda'; choose one of cpu",
    "run --timeout 5x": "'5x' is no time; write 90s, 10m or 1h",
    "run --timeout 0": "'0' is no time",
    "run --timeout nan": "'nan' is no time",
    "run --timeout=": "'' is no time",
    "run --steps 1 --epochs 1": "one budget: --epochs, --steps or --seconds",
    "run --seconds 0": "seconds",
    "run --steps 0": "--steps.*greater than or equal to 1",
    "run --seeds 0": "--seeds.*greater than or equal to 1",
    "run --batch-size 10000 -t two-spirals -m sgd": "batch_size=10000 is more than n_train=1000; lower it",
    "run --output a-file --steps 1 -t two-spirals -m sgd": "a-file",
    "run mnist": "absent and could not be fetched",
    "list nope": "'nope'.*backends.*methods.*output_metrics.*losses.*tasks.*suites",
    "table .": "holds no run.*run.json",
    "data check nope": "no data set is called 'nope'; there are: mnist",
    "data fetch nope": "no data set is called 'nope'; there are: mnist",
    "data fetch mnist": "absent and could not be fetched",
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_request_is_one_message_and_status_2(call, tmp_path, words):
    (tmp_path / "a-file").touch()
    done = call(*words.split())
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    text = " ".join(done.stderr.replace("│", " ").split())
    assert re.search(REFUSED[words], text), text
    assert "Traceback" not in text
    offline = "fetched" in REFUSED[words]
    if text.startswith("rbench: "):
        assert len(done.stderr.splitlines()) == 1 or offline
    if offline:
        assert "rbench data fetch mnist" in text
        assert "set RBENCH_DATA to a folder that holds mnist/" in text
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["mnist", "quick", "synthetic"])
def test_the_built_in_suites_have_cells(name):
    cells = Request(suites=(name,)).cells()
    assert len({cell.method.partition("[")[0] for cell in cells}) >= 2
    assert all(cell.make_task().spec == cell.task and cell.make_method().spec == cell.method for cell in cells)


def test_a_dry_run_lists_the_cells_and_does_nothing(call, tmp_path):
    words = ("run", "quick", "-t", SPIRALS, "-m", "sgd[lr=[0.1,0.3]]", "-m", "adam", "--seeds", 2, "--steps", 3, "-n")
    lines = call(*words).stdout.splitlines()
    assert len(lines) == 7
    assert lines[-1] == "cells: 6"
    assert lines[0].split() == [
        "quick", "two-spirals[batch_size=20,n_train=60,n_test=20,hidden=[8]]", "sgd[lr=0.1]", "numpy", "float32",
        "seed", "0",
    ]  # fmt: skip
    cells = json.loads(call(*words, "--json", "--dtype", "float64", "--batch-size", 5).stdout)
    assert [(cell["method"], cell["seed"]) for cell in cells] == [
        ("sgd[lr=0.1]", 0), ("sgd[lr=0.1]", 1), ("sgd[lr=0.3]", 0), ("sgd[lr=0.3]", 1),
        ("adam[lr=0.001]", 0), ("adam[lr=0.001]", 1),
    ]  # fmt: skip
    assert {cell["dtype"] for cell in cells} == {"float64"}
    assert {cell["budget"]["steps"] for cell in cells} == {3}
    assert all("batch_size=5," in cell["task"] for cell in cells)
    assert list(tmp_path.iterdir()) == []


def test_a_bare_method_is_the_suites_own(call):
    bare, own, plain = (
        [cell["method"] for cell in json.loads(call("run", "-n", "--json", "-t", "digits", "-m", spec).stdout)]
        for spec in ("kfac", "kfac[lr=0.5]", "kfac[]")
    )
    suite = [cell.method for cell in Request(tasks=("digits",)).cells() if cell.method.startswith("kfac")]
    assert (bare, own) == (suite, ["kfac[lr=0.5,damping=0.1]"])
    assert plain == ["kfac[lr=0.01,damping=0.1]"]


def test_a_run_that_is_there_prints_its_rows(call, directory):
    done = call(*SMALL, "-o", directory, "--json")
    assert done.exit_code == 0
    assert "cells from an earlier run: 1; to run: 0" in done.stderr
    (row,) = json.loads(done.stdout)
    assert tuple(row) == FIELDS
    assert (row["status"], row["steps"]) == ("ok", 3)


def test_a_cell_that_did_not_end_ok_is_status_1(call, directory, tmp_path):
    (record,), _ = read_records(directory)
    write_record(tmp_path / "copy", record.model_copy(update={"status": "diverged", "reason": "too fast"}))
    done = call(*SMALL, "-o", tmp_path / "copy")
    assert done.exit_code == 1
    assert "diverged: too fast" in done.stdout


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html", "json"])
def test_every_form_of_the_table(call, directory, form):
    done = call("table", directory, "--format", form)
    assert done.exit_code == 0
    assert done.stderr == ""
    assert "two-spirals" in done.stdout
    assert "sgd[lr=0.2]" in done.stdout


def test_lists_name_everything_that_is_registered(call):
    found = json.loads(call("list", "--json").stdout)
    assert set(found) == set(NEEDED)
    for kind in NEEDED:
        assert [item["name"] for item in found[kind]] == list(plugins().registered(kind))
        assert all(item["summary"] for item in found[kind])
        text = call("list", kind).stdout
        assert all(item["name"] in text and item["summary"] in text for item in found[kind])
    assert "momentum=0.9" in call("list", "methods").stdout


def test_system_information_is_json(call):
    found = json.loads(call("sys-info").stdout)
    assert found["python"] == sys.version.split()[0]
    assert found["libraries"]["numpy"]


@pytest.mark.parametrize(
    ("words", "code", "count"),
    [(("data", "check", "mnist"), 1, 4), (("data", "check", "cifar10"), 1, 6), (("data", "list"), 0, 14)],
)
def test_absent_data_are_called_absent(call, words, code, count):
    done = call(*words)
    assert done.exit_code == code, done.output
    lines = done.stdout.splitlines()
    assert len(lines) == count
    assert all("absent" in text and "official" not in text for text in lines)


def test_help_loads_nothing_heavy():
    code = (
        "from typer.testing import CliRunner\nfrom rbench.cli import app\n"
        "for words in ([], ['run'], ['list'], ['table'], ['data'], ['sys-info']):\n"
        "    assert 'Usage' in CliRunner().invoke(app, [*words, '--help']).output, words\n"
    )
    assert command.loaded(code) & {"numpy", "pandas", "scipy", "sklearn", "torch", "jax"} == set()
