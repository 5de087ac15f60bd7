"""Error messages name what came and what is near it."""

import pytest

from rbench import Linear
from rbench.cost import network
from rbench.cost.parts import get_part
from rbench.errors import PluginError, RbenchError
from rbench.losses import get_loss
from rbench.metrics import get_output_metric
from rbench.names import LONGEST, did_you_mean, shown, unknown
from rbench.plugins import get_backend, plugins
from rbench.run import Request
from rbench.tasks.datasets import find

KNOWN = ["digits", "mnist", "mnist-autoencoder", "two-spirals"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("digit", "digits"),
        ("DIGITS", "digits"),
        ("mnsit", "mnist"),
        ("two_spirals", "two-spirals"),
        ("autoencoder", "mnist-autoencoder"),
    ],
)
def test_a_near_name_is_offered(name, near):
    assert did_you_mean(name, KNOWN) == (f" (did you mean {near!r}?)" if near else "")


@pytest.mark.parametrize(
    ("name", "near"), [("learning_rate", "lr"), ("Learning rate", "lr"), ("weight-decay", "wd"), ("rate", None)]
)
def test_a_known_name_of_the_same_initials_is_offered(name, near):
    assert did_you_mean(name, ["lr", "schedule", "wd"]) == (f" (did you mean {near!r}?)" if near else "")


@pytest.mark.parametrize("name", ["", "qwerty", 7, None, "x" * 10**6])
def test_a_name_that_is_near_nothing_is_met_with_all(name):
    message = unknown("task", name, KNOWN)
    assert message.endswith("; there are: digits, mnist, mnist-autoencoder, two-spirals")
    assert len(message) < 2 * LONGEST + 100


def test_a_value_that_cannot_be_written_is_named_by_its_type():
    assert shown(10**5000) == "a value of type int that cannot be written"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: get_loss("cross-entropi"), r"no loss is called 'cross-entropi' \(did you mean 'cross_entropy'\?\)"),
        (
            lambda: get_output_metric("gnn"),
            r"output metric is called 'gnn' \(did you mean 'ggn'\?\).*or give a matrix",
        ),
        (lambda: Linear(2, 2).init(get_backend("numpy"), scheme="glorott"), r"scheme is called .*mean 'glorot'\?"),
        (lambda: get_backend("numpi"), r"no backend is called 'numpi' \(did you mean 'numpy'\?\)"),
        (lambda: get_backend("numpy", dtype="float46"), r"no dtype 'float46'; choose .* \(did you mean 'float64'\?\)"),
        (lambda: get_backend("torch", device="cudda"), r"no device 'cudda'; choose .* \(did you mean 'cuda'\?\)"),
        (
            lambda: get_part("gram-product", get_backend("numpy")),
            r"part of a step is called .*mean 'gram product'\?",
        ),
        (lambda: find("mnits"), r"no data set is called 'mnits' \(did you mean 'mnist'\?\)"),
        (lambda: network("resnet-8"), r"no network is called 'resnet-8' \(did you mean 'resnet8'\?\)"),
        (lambda: Request(suites=("scaling",), tasks=("dept",)).cells(), r"no sweep is called .*mean 'depth'\?"),
        (lambda: Request(suites=("quik",)).cells(), r"no suite is called 'quik' \(did you mean 'quick'\?\)"),
        (lambda: Request(tasks=("digit",)).cells(), r"no task is called 'digit' \(did you mean 'digits'\?\)"),
        (lambda: Request(tasks=("digit[hidden=[3]]",)).cells(), r"no task is called .* \(did you mean 'digits'\?\)"),
        (lambda: Request(suites=("mnist",), tasks=("digits",)).cells(), "suite 'mnist' has no task 'digits'"),
        (lambda: Request(methods=("sgd[learning_rate=1]",)).cells(), r"'learning_rate' \(did you mean 'lr'\?\)"),
        (lambda: Request(methods=("riemanian",)).cells(), r"no method is called .* \(did you mean 'riemannian'\?\)"),
    ],
    ids=lambda value: "",
)
def test_every_kind_of_name_is_met_with_the_near_one(ask, words):
    with pytest.raises(RbenchError, match=words):
        ask()


def test_control_characters_do_not_reach_the_message():
    assert shown("\x1b[31m") == r"'\x1b[31m'"


def test_a_registered_name_that_is_nearly_given_is_offered():
    with pytest.raises(PluginError, match=r"no method is called 'sgdd' \(did you mean 'sgd'\?\); there are: adam,"):
        plugins().find("methods", "sgdd")
