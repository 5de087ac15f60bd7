"""Processes that measure costs and die, or never begin: which cases they take with them, and what is said."""

import json
import os
from types import SimpleNamespace

import pytest
from rbench.cost.benchmarks import run_benchmarks
from rbench.cost.results import Place

from rbench.cost import CostRequest, Plan, benchmarks
from rbench.run.ask import Answer
from rbench.run.gate import Gate

METHODS = ("sgd", "adam", "kfac[refresh=3]")


@pytest.fixture
def place():
    request = CostRequest(networks=("4-3-2",), methods=METHODS, threads=1)
    return Place(plan=request.plans()[0], gate=Gate(backend="numpy", device="cpu", dtype="float32", cases=1, worst=0.0))


@pytest.fixture
def go(place, tmp_path, monkeypatch):
    """Run the benchmarks of a module; what became of the cases, and what was said."""

    def call(module="module", ask=None):
        if ask is not None:
            monkeypatch.setattr(benchmarks, "ask", ask)
        said = []
        failures = run_benchmarks(place, module, tmp_path, [], lambda *line: said.append(line))
        return SimpleNamespace(failures=failures, counts=[count for _, count in said])

    return call


def test_a_module_that_cannot_start_fails_all_cases_at_once(go, tmp_path, monkeypatch):
    (tmp_path / "cannot_start.py").write_text("import no_such_package\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = go("cannot_start")
    assert len(done.failures) == len(done.counts) == sum(done.counts) == len(METHODS)
    ((status, reason),) = set(done.failures.values())
    assert status == "crashed"
    assert reason.endswith("; see step-time-numpy.log")
    (log,) = tmp_path.glob("*.log")
    assert "No module named 'no_such_package'" in log.read_text()


def test_a_process_that_never_was_is_named_without_a_log(go, tmp_path):
    asked = []

    def ask(*words, **others):
        asked.append(words)
        return Answer("", "crashed", "its process could not be started: too many open files", "")

    (tmp_path / "step-time-numpy.log").write_text("an earlier run's")
    done = go(ask=ask)
    assert len(asked) == 1
    assert set(done.failures.values()) == {("crashed", "its process could not be started: too many open files")}
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize("logs", [True, False])
def test_every_process_that_dies_in_a_case_takes_that_one_with_it(go, tmp_path, logs):
    asked = []

    def ask(module, question, *, heard, log, **others):
        cases = [str(case) for case in Plan.model_validate_json(question).cases]
        asked.append(len(cases))
        if logs:
            log.write_text(cases[0])
        heard(json.dumps({"case": cases[0], "status": "begun"}).encode())
        return Answer("", "crashed", "it died", "")

    done = go(ask=ask)
    assert asked == [3, 2, 1]
    for number, (case, end) in enumerate(done.failures.items()):
        name = f"step-time-numpy-{number}.log"
        assert end == ("crashed", f"it died; see {name}" if logs else "it died")
        assert not logs or (tmp_path / name).read_text() == case


def test_a_process_that_dies_between_two_cases_takes_none_with_it(go):
    def ask(module, question, *, heard, **others):
        case = Plan.model_validate_json(question).cases[0]
        for end in ({"status": "begun"}, {"status": "skipped", "reason": "measured nothing"}):
            heard(json.dumps({"case": str(case), **end}).encode())
        return Answer("", "crashed", "it died", "")

    assert set(go(ask=ask).failures.values()) == {("skipped", "measured nothing")}


def test_cases_that_a_module_does_not_measure_say_so(go, tmp_path, monkeypatch):
    (tmp_path / "measures_nothing.py").write_text("def test_something_else():\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = go("measures_nothing")
    words = "measures_nothing has no benchmark of it; see step-time-numpy.log"
    assert set(done.failures.values()) == {("crashed", words)}
    assert sum(done.counts) == len(METHODS)
