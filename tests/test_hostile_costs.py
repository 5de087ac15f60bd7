"""Whatever the files of a run that measures costs hold, they are damaged or newer, and never a traceback."""

import json
import os

import pytest
from typer.testing import CliRunner

import rbench
from rbench.cli import app
from rbench.cost import Plan, places
from rbench.run.gate import Gate
from rbench.run.record import write_json

CASE = {"network": "16-8-4", "batch_size": 8, "method": "sgd[lr=0.1]"}
FACTS = {**CASE, "threads": 1, "device": "cpu", "libraries": {"numpy": "2.0"}, "step_ratio_to_sgd": 1.0}
FACTS |= {"step_ratio_low": 0.9, "step_ratio_high": 1.1}
STATS = {"median": 0.5, "q1": 0.4, "q3": 0.6, "rounds": 9}
LARGE = 10**400


def run(directory, place=(), facts=(), stats=(), entries=None):
    """A run of one case, of which something is changed."""
    plan = Plan(suite="step-time", backend="numpy", cases=(CASE,))
    gate = Gate(backend="numpy", device="cpu", dtype="float32", cases=1, worst=0.0)
    known = {"rbench": "9.9", "cpu": "Abacus", "libraries": {"numpy": "2.0"}}
    whole = {"plan": plan.model_dump(), "gate": gate.model_dump(), "failures": {}, **dict(place)}
    (directory / "run.json").write_text(json.dumps({"request": {}, "provenance": known, "places": [whole]}))
    entry = {"extra_info": FACTS | dict(facts), "stats": STATS | dict(stats), "name": "as pytest-benchmark has it"}
    content = {"machine_info": {"rbench": known}, "benchmarks": [entry]} if entries is None else entries
    (directory / "step-time-numpy.json").write_text(json.dumps(content))


def table(directory):
    done = CliRunner().invoke(app, ["table", str(directory)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_a_run_is_shown(tmp_path):
    run(tmp_path)
    done = table(tmp_path)
    assert done.exit_code == 0
    assert "500" in done.stdout
    assert "damaged" not in done.stdout


DAMAGED = {
    "median is text": {"stats": {"median": "0.5"}},
    "median is true": {"stats": {"median": True}},
    "median is large": {"stats": {"median": LARGE}},
    "median is NaN": {"stats": {"median": float("nan")}},
    "no quartile": {"stats": {"q1": None}},
    "ratio is a list": {"facts": {"step_ratio_to_sgd": [1]}},
    "batch is text": {"facts": {"batch_size": "8"}},
    "libraries are a list": {"facts": {"libraries": ["numpy"]}},
    "no entries": {"entries": {"machine_info": {}}},
    "entries are a number": {"entries": {"benchmarks": 5}},
    "an entry is a number": {"entries": {"benchmarks": [5]}},
    "an entry is empty": {"entries": {"benchmarks": [{}]}},
    "the machine is a list": {"entries": {"machine_info": [], "benchmarks": []}},
    "the cpu is a number": {"entries": {"machine_info": {"rbench": {"cpu": 5}}, "benchmarks": []}},
    "a list": {"entries": []},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_entries_of_wrong_types_are_damaged_and_the_table_says_so(tmp_path, name):
    run(tmp_path, **DAMAGED[name])
    done = table(tmp_path)
    assert done.exit_code == 0
    assert "crashed: step-time-numpy.json is damaged" in done.stdout
    same = CliRunner().invoke(app, ["compare", str(tmp_path), str(tmp_path)])
    assert same.exit_code == 2
    assert isinstance(same.exception, SystemExit)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"\xff", b"", b'{"benchmarks": [{"a": "\\ud800"}]}'])
def test_bytes_that_are_no_entries_are_damaged(tmp_path, text):
    run(tmp_path)
    (tmp_path / "step-time-numpy.json").write_bytes(text)
    assert "crashed: step-time-numpy.json is damaged" in table(tmp_path).stdout


def test_a_pipe_in_place_of_entries_holds_nothing_up(tmp_path):
    run(tmp_path)
    (tmp_path / "step-time-numpy.json").unlink()
    os.mkfifo(tmp_path / "step-time-numpy.json")
    assert "crashed: step-time-numpy.json is damaged" in table(tmp_path).stdout


PLACES = {
    "no plan": {"plan": {}},
    "plan is a number": {"plan": 5},
    "gate is text": {"gate": "passed"},
    "failures are a list": {"failures": [1]},
    "a failure is text": {"failures": {"x": "crashed"}},
    "environment holds numbers": {"environment": {"cpu": 5}},
}


@pytest.mark.parametrize("name", PLACES)
def test_places_of_wrong_types_are_damaged_and_named(tmp_path, name):
    run(tmp_path, place=PLACES[name])
    before = (tmp_path / "run.json").read_text()
    for words in (("table",), ("run", "step-time", "-t", "16-8-4", "-m", "sgd", "--threads", "1", "-o")):
        done = CliRunner().invoke(app, [*words, str(tmp_path)])
        assert (done.exit_code, type(done.exception)) == (2, SystemExit)
        assert f"{tmp_path / 'run.json'} is damaged; run into another directory" in done.stderr
    assert (tmp_path / "run.json").read_text() == before


@pytest.mark.parametrize("place", [{"joules": 1}, {"gate": {"backend": "numpy", "device": None, "dtype": "x", "a": 1}}])
def test_places_of_a_newer_version_are_named_and_left(tmp_path, place):
    run(tmp_path, place=place)
    before = (tmp_path / "run.json").read_text()
    for words in (("table",), ("run", "step-time", "-t", "16-8-4", "-m", "sgd", "--threads", "1", "-o")):
        done = CliRunner().invoke(app, [*words, str(tmp_path)])
        assert done.exit_code == 2
        assert f"was written by rbench 9.9; this one, {rbench.__version__}, does not know" in done.stderr
    assert (tmp_path / "run.json").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "step-time-numpy.json"]


def test_damaged_entries_are_set_aside_and_measured_again(tmp_path, monkeypatch):
    def measured(place, module, directory, kept, say):
        assert kept == []
        write_json(directory / "step-time-numpy.json", {"machine_info": {}, "benchmarks": []})
        return {"16-8-4 batch 8 sgd[lr=0.1]": ("crashed", "for the test")}

    monkeypatch.setattr("rbench.cost.session.run_benchmarks", measured)
    monkeypatch.setattr(
        "rbench.cost.session.gate",
        lambda *place: Gate(backend="numpy", device="cpu", dtype="float32", cases=1, worst=0.0),
    )
    run(tmp_path)
    (tmp_path / "step-time-numpy.json").write_text("{")
    words = ("run", "step-time", "-t", "16-8-4", "-m", "sgd", "--threads", "1", "--batch-size", "8", "-o")
    done = CliRunner().invoke(app, [*words, str(tmp_path)])
    assert done.exit_code == 1, done.output
    assert "step-time-numpy.json is damaged: it is now step-time-numpy.json.damaged" in done.stderr
    assert (tmp_path / "step-time-numpy.json.damaged").read_text() == "{"
    assert len(places(tmp_path)) == 1
