"""Methods that run on some backends only: their cells, and what a run says of the others."""

import pytest

from helpers.command import call
from helpers.faults import SPIRALS
from helpers.registered import registered
from rbench.backend import BackendPlugin
from rbench.cost import CostSuite
from rbench.errors import SpecError
from rbench.methods import SGD
from rbench.run import Budget, Request, Training
from rbench.run.method_backends import left_out


class Bound(SGD):
    name, summary, backends = "bound", "SGD that runs on two backends", ("abacus", "quipu")


@pytest.fixture(autouse=True)
def plugins():
    abacus = BackendPlugin("abacus", None, lambda: None, "of beads")
    costs = CostSuite("costs", "steps", ("sgd",), networks=("4-3",), batch_sizes=(8,))
    with registered(methods=[Bound], backends=[abacus], suites=[costs]):
        yield


def cells(*backends, suites=("quick",), methods=("sgd", "bound"), **others):
    if suites == ("quick",):
        others |= {"tasks": (SPIRALS,), "budget": Budget(steps=3)}
    made = Request(suites=suites, backends=backends, methods=methods, threads=1, **others).cells()
    return made, [(cell.method.partition("[")[0], cell.backend) for cell in made]


@pytest.mark.parametrize("suite", ["quick", "costs"])
def test_a_method_has_cells_on_its_backends_only(suite):
    made, found = cells("numpy", "abacus", suites=(suite,))
    assert sorted(found) == [("bound", "abacus"), ("sgd", "abacus"), ("sgd", "numpy")]
    (line,) = left_out(made, ("numpy", "abacus"))
    assert line == "bound[lr=0.1] runs on abacus and quipu only, and not on numpy"
    assert left_out(made, ("abacus",)) == []


@pytest.mark.parametrize("suite", ["quick", "costs"])
def test_one_that_runs_on_none_of_them_is_refused(suite):
    with pytest.raises(SpecError, match=r"method 'bound\[lr=0.1\]' runs on abacus and quipu; add `backends` abacus"):
        cells("numpy", suites=(suite,))


def test_so_is_a_cell_given_as_it_is():
    one = Training(suite="", task=SPIRALS, method="bound", backend="numpy", budget=Budget(steps=3))
    with pytest.raises(SpecError, match="runs on abacus"):
        Request(exact=(one.model_dump_json(),)).cells()


def test_a_dry_run_says_where_a_method_has_no_cells():
    asked = ("run", "-m", "bound", "-t", SPIRALS, "-b", "abacus", "--steps", 3, "--dry-run")
    done = call(*asked, "-b", "numpy", "-m", "sgd")
    assert (done.exit_code, "cells: 3\n" in done.stdout) == (0, True), done.stderr
    assert "bound[lr=0.1] runs on abacus and quipu only, and not on numpy" in done.stderr
    assert "runs on" not in call(*asked).stderr


class Choosy(SGD):
    name, summary = "choosy", "SGD that refuses every problem"

    def check(self, problem):
        raise SpecError(f"it refuses {len(problem.net.layers)} layers")


class Lacking(SGD):
    name, summary = "lacking", "SGD whose library is not installed"

    @classmethod
    def unavailable(cls):
        return "its library is not installed; install it"


@pytest.mark.parametrize("words", [("quick", "-t", SPIRALS), ("costs",)])
@pytest.mark.parametrize(
    ("method", "told"), [(Choosy, "it refuses"), (Lacking, "method 'lacking' is unavailable: its library is not")]
)
def test_one_that_cannot_run_is_refused_before_any_work(method, told, words):
    with registered(methods=[method]):
        done = call("run", *words, "-m", method.name, "--dry-run")
    assert (done.exit_code, told in done.stderr) == (2, True), done.output


def test_the_command_names_the_option_and_the_list_the_backends():
    done = call("run", "-m", "bound", "-t", SPIRALS, "--dry-run")
    assert done.exit_code == 2
    assert "add -b abacus" in done.stderr
    assert "backends: abacus, quipu" in call("list", "methods").stdout
