"""Optimisers of a library as methods, with a library of two functions: SPECs, settings and errors."""

import pytest

from helpers.registered import registered
from rbench import Linear
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.methods import Choice, LogUniform, Problem
from rbench.methods.library import LibraryOptimizer
from rbench.plugins import get_backend
from rbench.train.cell import configured, held


def walk(params, lr, stride, momentum=0.5, *, betas=(0.9, 0.99), weight_decay=0.0, sizes=(1, 2), **others):
    if momentum > 1:
        raise ValueError(f"momentum {momentum} is too large")
    return lr, stride, momentum, betas, weight_decay, sizes, others


def lion(params, lr, betas=None, weight_decay=0.1):
    return lr, betas, weight_decay


class Library(LibraryOptimizer):
    name, summary = "library", "a library of two functions"

    @classmethod
    def known(cls):
        return {"walk": walk, "lion": lion}

    def try_out(self, shapes):
        assert shapes == [(3, 4), (3,)]
        self.make(None, self.lr, **self.arguments)

    def init(self, problem, params):
        return ()

    def step(self, problem, params, state, batch, scalars, phase):
        raise AssertionError("only its settings are asked for")


@pytest.fixture(autouse=True)
def library():
    with registered(methods=[Library]):
        yield


def made(spec):
    (one,) = configured("methods", spec)
    return one


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("library[name=lion]", "library[name=lion,lr=0.001]"),
        ("library[stride=2,name=walk,beta1=0.5,lr=1]", "library[name=walk,lr=1,beta1=0.5,stride=2]"),
        ("library[name=walk,sizes=[[3,4]]]", "library[name=walk,lr=0.001,sizes=[[3,4]]]"),
        (
            "library[schedule=linear,momentum=none,name=walk]",
            "library[name=walk,lr=0.001,schedule=linear,momentum=none]",
        ),
    ],
)
def test_the_canonical_spec_has_further_settings_in_order(given, canonical):
    assert made(given).spec == canonical
    assert made(canonical) == made(given)


def test_a_list_tries_each_value():
    specs = [one.spec for one in configured("methods", "library[name=walk,momentum=[0,0.5],sizes=[[1,2],[3,4]]]")]
    assert len(specs) == 4
    assert specs[1] == "library[name=walk,lr=0.001,momentum=0,sizes=[[3,4]]]"


def test_settings_are_arguments_of_the_library():
    arguments = made("library[name=walk,stride=2,beta2=0.5,sizes=[[3,4]]]").arguments
    assert arguments == {"stride": 2, "betas": (0.9, 0.5), "sizes": (3, 4)}
    assert made("library[name=lion]").arguments == {}


REFUSED = {
    "library[name=wlak]": r"no optimiser of library is called 'wlak' \(did you mean 'walk'\?\); there are: walk, lion",
    "library[name=walk]": "walk needs a value for stride",
    "library[name=walk,strides=2]": r"walk has no setting 'strides' \(did you mean 'stride'\?\); .*: .* beta2",
    "library[name=walk,stride=2,others=1]": "has no setting 'others'",
    "library[name=walk,stride=2,betas=[[0.1,0.2]]]": r"no setting 'betas' \(did you mean 'beta[12]'",
    "library[name=walk,stride=2,beta1=large]": "walk: beta1='large': give a number",
    "library[name=walk,stride=2,momentum=2]": "walk makes no step with these settings: ValueError: momentum 2 is too",
    "library[name=lion,beta1=0.1]": "lion has no setting 'beta1'",
}  # fmt: skip


@pytest.mark.parametrize("spec", REFUSED)
def test_a_wrong_setting_is_met_with_words(spec):
    problem = Problem(get_backend("numpy"), Linear(4, 3), get_loss("cross_entropy"))
    made("library[name=walk,stride=2]").check(problem)
    with pytest.raises(SpecError, match=REFUSED[spec]):
        made(spec).check(problem)


def test_without_a_name_there_is_no_method():
    with pytest.raises(SpecError, match="library needs a value for name"):
        made("library")


def test_common_settings_are_searched_and_what_a_spec_sets_is_held():
    decays = {"beta1": Choice(0.8, 0.9, 0.95), "beta2": Choice(0.99, 0.999)}
    assert made("library[name=walk]").searched == {
        "lr": LogUniform(1e-4, 1),
        "momentum": Choice(0.0, 0.9, 0.95),
        **decays,
    }
    assert set(made("library[name=lion]").searched) == {"lr", "weight_decay"}
    assert made("library[name=lion]").searched["lr"] == LogUniform(1e-5, 1e-1)
    spec = "library[name=walk,momentum=0.3]"
    assert held("methods", [spec], made(spec).spec) == {"name", "momentum"}
    assert made(spec).changed(beta1=0.8, lr=0.1).spec_without("lr", "beta1") == "library[name=walk,momentum=0.3]"
