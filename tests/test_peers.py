"""Peers are refused, before anything runs, where they cannot train."""

import pytest

import rbench
from rbench import Linear, ScaleShift
from rbench.errors import SpecError
from rbench.losses import SquaredError, get_loss
from rbench.methods import Problem
from rbench.methods.peer import Peer
from rbench.plugins import plugins
from rbench.train.check import check_method

PLAIN = Linear(2, 3)
SCALED = PLAIN >> ScaleShift(3)
PEERS = {name: item for name, item in plugins().registered("methods").items() if issubclass(item, Peer)}


class Other(SquaredError):
    name = "other"


def test_there_are_three():
    assert {(name, *peer.backends) for name, peer in PEERS.items()} == {
        ("curvlinops-kfac", "torch"),
        ("singd", "torch"),
        ("kfac-jax", "jax"),
    }


@pytest.fixture
def refusal(backend, monkeypatch):
    """A function that gives the error of a peer, whose package is there, on a problem."""
    monkeypatch.setattr("rbench.methods.peer.package_problem", lambda *_: None)

    def of(name, net=PLAIN, loss=None, **settings):
        problem = Problem(backend, net, loss or get_loss("cross_entropy"))
        with pytest.raises(SpecError) as error:
            PEERS[name](**settings).check(problem)
        return str(error.value)

    return of


@pytest.mark.parametrize("name", PEERS)
def test_a_missing_package_is_named_with_its_extra(name, backend, monkeypatch):
    monkeypatch.setattr("rbench.probe.find_spec", lambda package: None)
    method, problem = PEERS[name](), Problem(backend, PLAIN, get_loss("cross_entropy"))
    words = rf"method '{name}' is unavailable: .*is not installed; .*pip install 'rbench\[peers\]'"
    with pytest.raises(SpecError, match=words):
        check_method(method, problem, here=True)
    check_method(method, problem, here=False)  # its workers may have it


@pytest.mark.parametrize("name", PEERS)
def test_other_layers_and_losses_are_named(name, refusal):
    assert "trains Linear and Conv2d only, and the network has ScaleShift" in refusal(name, SCALED)
    assert "not 'other'" in refusal(name, loss=Other())


def test_the_exact_factors_of_curvlinops_need_targets_of_zero_and_one(refusal):
    words = refusal("curvlinops-kfac", loss=get_loss("binary_cross_entropy"), factors="exact")
    assert "give factors=mc" in words


def test_kfac_jax_inverts_no_factors_twice():
    with pytest.raises(SpecError, match="factor_refresh=5 is more than refresh=2"):
        PEERS["kfac-jax"](refresh=2, factor_refresh=5)


def test_a_request_without_their_backend_is_refused():
    with pytest.raises(SpecError, match=r"'singd.*' runs on torch; add `backends` torch"):
        rbench.run.Request(methods=["singd"], tasks=["digits"]).cells()
