"""Outputs: a command writes the files that it was asked for and nothing else, and options that conflict are refused."""

import json
import os
import re

import pytest

from helpers.command import call, run
from helpers.faults import SPIRALS, cell, write_run
from rbench.report import plot
from rbench.run import Record


def write_two(folder):
    """A run of two methods with a target."""
    records = []
    for method, seconds in (("a", 1.0), ("b", 2.0)):
        figures = {"device": "cpu", "test_loss": seconds, "target_reached": True, "seconds_to_target": seconds}
        history = [{"step": 1, "seconds": seconds, "test_accuracy": 0.5, "test_squared_error": None}]
        records.append(Record(cell=cell(method, task="t"), status="ok", figures=figures, history=history))
    write_run(folder, records)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def place(monkeypatch, tmp_path):
    """An empty folder to call from, with a run."""
    monkeypatch.chdir(tmp_path)
    write_two(tmp_path / "run")
    return tmp_path


REFUSED = {
    "": "it is a folder; name a file",
    ".": "it is a folder; name a file",
    "run": "it is a folder; name a file, such as run/plot.png",
    "/dev/null": "no file but a device or a pipe",
    "pipe.png": "no file but a device or a pipe",
    "plot": "its ending '' is none of .*[.]png",
    "plot.xyz": "its ending '.xyz' is none of .*[.]png",
    "plot.png.": "its ending",
    ".png": "its ending '' is none of",
    "nowhere/plot.png": "there is no folder .*nowhere; make it",
    "run/run.json/plot.png": "there is no folder .*run.json; make it",
    "gone.png": "there is no folder .*away",
    f"{'n' * 300}.png": "too long",
    "run/run.json": "its ending '.json' is none of",
}


@pytest.mark.parametrize("option", ["--profile", "--curves"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_plot_that_cannot_be_written_is_refused_before_anything_is_read(place, name, option):
    pytest.importorskip("matplotlib")
    os.mkfifo(place / "pipe.png")
    (place / "gone.png").symlink_to(place / "away" / "plot.png")
    (place / "run" / "run.json").write_text("no JSON")  # it is not looked at
    before = files(place)
    done = call("table", "run", option, name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.search(f"cannot write the plot to .*{REFUSED[name]}", done.stderr)
    assert files(place) == before


@pytest.mark.parametrize("option", ["--profile", "--curves"])
@pytest.mark.parametrize("name", ["plot.png", "run/p.PDF", "a b.svg", "plot.v1.png"])
def test_a_plot_is_exactly_the_file_named(place, name, option):
    pytest.importorskip("matplotlib")
    before = files(place)
    assert call("table", "run", option, name).exit_code == 0
    assert files(place) == sorted([*before, name])
    assert (place / name).read_bytes()[:4] in (b"\x89PNG", b"%PDF", b"<?xm")


def test_a_link_stays_and_its_file_is_written(place):
    pytest.importorskip("matplotlib")
    (place / "plot.png").symlink_to(place / "run" / "p.png")
    assert call("table", "run", "--profile", "plot.png").exit_code == 0
    assert (place / "plot.png").is_symlink()
    assert (place / "run" / "p.png").read_bytes().startswith(b"\x89PNG")


def test_an_earlier_plot_stays_until_the_new_one_is_whole(place, monkeypatch):
    pytest.importorskip("matplotlib")
    (place / "plot.png").write_text("earlier")
    monkeypatch.setattr(plot.Path, "write_bytes", full)
    done = call("table", "run", "--profile", "plot.png")
    assert done.exit_code == 2
    assert "cannot write the plot to plot.png: [Errno 28] No space left" in done.stderr
    assert (place / "plot.png").read_text() == "earlier"
    assert not [name for name in files(place) if "rbench-plot" in name]


def full(*words):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("table run --history --format html", "--history has no form html: it prints csv or json"),
        ("table run --history --format markdown", "--history has no form markdown"),
        ("table run --history --format latex", "--history has no form latex"),
        ("table run --history --profile p.png", "give one of --history, --ranking, --profile and --sensitivity"),
        ("compare run run --json --format html", "--json and --format html are two forms"),
        ("compare run run --json --format markdown", "--json and --format markdown are two forms"),
        ("compare run run -f test_los", "called test_los .did you mean 'test_loss'..; there are: .*peak_host_bytes"),
        ("compare run run -f STEP-SECONDS", "called STEP-SECONDS .did you mean 'step_seconds'"),
    ],
)
def test_options_that_conflict_are_refused(place, words, message):
    done = call(*words.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.search(message, done.stderr)


def test_a_history_is_in_the_form_that_was_asked_for(place):
    rows = json.loads(call("table", "run", "--history", "--format", "json").stdout)
    assert [(row["method"], row["seconds"]) for row in rows] == [("a", 1.0), ("b", 2.0)]
    assert call("compare", "run", "run", "--json", "--format", "json").stdout.startswith("[")


COMMANDS = {
    "run": f"run -t {SPIRALS} -m sgd --steps 3 -o DIR",
    "step-time": "run step-time -t 784-64-10 -m sgd -o DIR",
    "memory": "run memory -t 784-64-10 -m sgd -o DIR",
    "tune": f"tune -t {SPIRALS} -m sgd --trials 2 --confirmations 0 --seeds 1 --steps 3 -o DIR",
    "table": "table ../run",
    "ranking": "table ../run --ranking",
    "compare": "compare ../run ../run",
    "verify": "verify -b numpy --dtype float32 --short",
    "data": "data list",
    "list": "list",
    "sys-info": "sys-info",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_leaves_anything_outside_of_its_directory(name, tmp_path):
    write_two(tmp_path / "run")
    here, temporary = tmp_path / "here", tmp_path / "tmp"
    here.mkdir()
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary), "RBENCH_DATA": str(tmp_path / "data")}
    before = files(tmp_path / "run")
    done = run(*COMMANDS[name].split(), cwd=here, env=environment)
    assert done.code == 0, done.err
    assert {path.name for path in here.iterdir()} == ({"DIR"} if "DIR" in COMMANDS[name] else set())
    assert (files(tmp_path / "run"), files(temporary)) == (before, [])


WRITE = ["table run", "compare run run", "list", "--help", "sys-info", "data list"]


@pytest.mark.parametrize("words", WRITE)
def test_a_reader_that_has_gone_ends_the_command_in_silence(place, words):
    reading, writing = os.pipe()
    os.close(reading)
    done = run(*words.split(), stdout=writing)
    os.close(writing)
    assert (done.code, done.err) == (1 if "help" in words else 141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("words", WRITE)
def test_a_full_device_is_said(place, words):
    with open("/dev/full", "w") as device:
        done = run(*words.split(), stdout=device)
        assert done.code == 2
        assert done.err.startswith("rbench: cannot write the output: No space left on device")
        assert len(done.err.splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_where_nothing_can_be_said_the_status_says_it():
    with open("/dev/full", "w") as device:
        assert run("list", stdout=device, stderr=device).code == 2
