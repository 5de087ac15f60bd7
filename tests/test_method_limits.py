"""What methods do at their limits: memory that is not there, and parameters that are not numbers."""

import tracemalloc
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.faults import cell
from rbench import AvgPool2d, Conv2d, Flatten, Linear, ReLU, Tanh
from rbench.errors import CapacitanceError, Skip
from rbench.experiment import Limits, Outcome
from rbench.losses import get_loss
from rbench.methods import (
    EKFAC,
    KFAC,
    PRONG,
    SGD,
    SOAP,
    Batch,
    Muon,
    Naive,
    NaturalGradient,
    Problem,
    Riemannian,
    Shampoo,
)
from rbench.solvers import check_health

SOLVERS = ["gram", "rows", "dense", "inverse"]


@pytest.mark.parametrize("method", [Naive(), Riemannian(solver="inverse")], ids=["naive", "inverse"])
def test_predicted_memory_grows_with_the_square_of_the_parameters(backend, method):
    def predicted(width, method=method):
        net = Linear(9, width)
        problem = Problem(backend, net, get_loss("squared_error"))
        datum = Batch(np.zeros((1, 9)), np.zeros((1, width)), np.zeros((1, 1, width)))
        return method.workspace_bytes(problem, net.init(backend, 0), datum, 32)[0]

    assert predicted(400) >= 2 * 8 * 4000**2
    assert [predicted(b) / predicted(a) for a, b in pairwise((400, 800, 1600))] == pytest.approx([4, 4], rel=0.1)
    assert predicted(1600, Riemannian()) < predicted(1600) / 1000
    assert predicted(400, SGD()) == 0


SHAPES = {
    "wide": (Linear(300, 400) >> Tanh() >> Linear(400, 10), (300,), 32),
    "large batch": (Linear(20, 30) >> Tanh() >> Linear(30, 40) >> Tanh() >> Linear(40, 10), (20,), 2000),
    "images": (
        Conv2d(3, 16, 3, padding=1) >> ReLU() >> Conv2d(16, 16, 3, padding=1) >> AvgPool2d(4) >> Flatten()
        >> Linear(256, 10),
        (3, 16, 16),
        32,
    ),
}  # fmt: skip
KRONECKER = [
    KFAC(),
    KFAC(refresh=10),
    KFAC(damping_split="eigen"),
    KFAC(factors="exact"),
    KFAC(decay=0.0),
    KFAC(sharing="reduce"),
    KFAC(sharing="reduce", decay=0.0),
    KFAC(refresh=10, fit="layers"),
    Riemannian(mass="kronecker", rows=False, fit="layers"),
    Riemannian(mass="kronecker", solver="gram", fit="layers"),
    Riemannian(mass="kronecker", solver="gram", coupling="network"),
    Riemannian(mass="diagonal", rows=False, fit="scalar"),
    Shampoo(),
    Shampoo(graft="adam"),
    SOAP(refresh=1),
    EKFAC(),
    EKFAC(factors="exact", refresh=10),
    EKFAC(fit="layers"),
    PRONG(),
    PRONG(refresh=1, decay=0.0),
]
PRODUCTS = [
    NaturalGradient(),
    NaturalGradient(output_metric="ggn", precondition=0.75, warm_start=0.9),
    NaturalGradient(fit="layers"),
]
"""Methods with the network's metric as a product."""


TAKING = [(name, method) for method in [*KRONECKER, *PRODUCTS] for name in SHAPES] + [("wide", Muon(last="muon"))]
"""Muon takes more than SGD only where a weight is large beside the batch."""


@pytest.mark.parametrize(("name", "method"), TAKING, ids=str)
def test_methods_predict_what_they_allocate_beyond_sgd(backend, rng, name, method):
    net, shape, count = SHAPES[name]
    problem = Problem(backend, net, get_loss("cross_entropy"))
    params = net.init(backend, 0)
    x, y = rng.normal(size=(count, *shape)), rng.integers(0, 10, count)

    def peak(method):
        batch = Batch(x, y, rng.random((count, method.samples)) if method.samples else None)
        tracemalloc.start()
        try:
            state = method.init(problem, params)
            for t in range(2):
                state = method.step(problem, params, state, batch, method.scalars(t, 2), method.phase(0)).state
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    datum = Batch(x[:1], y[:1], rng.random((1, 1)))
    predicted, _ = method.workspace_bytes(problem, params, datum, count)
    beyond = peak(method) - peak(SGD())
    assert beyond <= predicted <= 2 * beyond


def test_predicted_memory_follows_the_metrics_data_and_what_is_kept(backend):
    net = Linear(9, 50) >> Tanh() >> Linear(50, 10)
    problem, datum = Problem(backend, net, get_loss("cross_entropy")), Batch(np.zeros((1, 9)), np.zeros(1, int), None)

    def predicted(**settings):
        method = Riemannian(output_metric="ggn", solver="gram", **settings)
        return method.workspace_bytes(problem, net.init(backend, 0), datum, 64)[0]

    assert predicted(metric_batch=64) == predicted(metric_batch=100) == predicted()
    assert predicted(metric_batch=16) < predicted() / 8
    factors = 2 * 8 * (64 * get_loss("cross_entropy").hessian_rank(10)) ** 2
    assert predicted(refresh=2) == predicted(refresh=9) > predicted() + factors


LARGE = "two-spirals[hidden=[40000],n_train=20,n_test=10,batch_size=10]"


def test_a_large_network_is_refused_before_anything_is_allocated(backend):
    outcome = Outcome()
    tracemalloc.start()
    try:
        with pytest.raises(Skip, match=r"would need [\d,.]+ GiB for solver 'inverse' at layer 0 .*120,000.*are free"):
            cell("naive", task=LARGE, dtype="float64").run(backend, outcome, print, Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**26
    assert outcome.history == []
    assert outcome.figures["n_parameters"] == 40000 * 5 + 2


@pytest.mark.parametrize("method", ["naive", "riemannian", "riemannian[solver=dense]"])
def test_the_memory_that_is_free_counts(backend, monkeypatch, method):
    small = cell(method, dtype="float64")
    small.run(backend, Outcome(), print, Limits())
    monkeypatch.setattr("rbench.backend.psutil.virtual_memory", lambda: SimpleNamespace(available=100))
    with pytest.raises(Skip, match=r"would need .* for solver .* are free"):
        small.run(backend, Outcome(), print, Limits())
    small.model_copy(update={"method": "sgd"}).run(backend, Outcome(), print, Limits())


BROKEN = [
    *(Riemannian(solver=solver) for solver in SOLVERS),
    *(Riemannian(output_metric="ggn", batch="mean", solver=solver) for solver in SOLVERS),
    *(Riemannian(metric_batch=4, refresh=2, solver=solver) for solver in SOLVERS),
    Riemannian(output_metric="true_vs_rest", metric_batch=1),
    Naive(output_metric="true_vs_rest"),
    KFAC(),
    KFAC(factors="exact", damping_split="eigen"),
    Shampoo(),
    SOAP(refresh=1),
    EKFAC(),
    NaturalGradient(),
    NaturalGradient(output_metric="ggn", precondition=0.75, warm_start=0.9),
    NaturalGradient(solve="woodbury"),
]


@pytest.mark.parametrize("method", BROKEN, ids=lambda method: method.spec)
def test_what_is_not_a_number_is_named_by_layer_and_step(backend, make_params, rng, method):
    problem = Problem(backend, Linear(4, 5) >> Tanh() >> Linear(5, 3), get_loss("cross_entropy"))
    params = make_params(problem.net, rng)
    params = (params[0], {**params[1], "weight": params[1]["weight"] * np.nan})
    noise = np.full((6, 1), 0.5) if method.samples else None
    batch = Batch(rng.normal(size=(6, 4)), rng.integers(0, 3, 6), noise)
    step = method.step(problem, params, method.init(problem, params), batch, method.scalars(0, 1), method.phase(0))
    with pytest.raises(CapacitanceError, match=r"layer \d could not be factored at step 7.*lower lr") as caught:
        check_health(step.health, 7)
    assert caught.value.step == 7
