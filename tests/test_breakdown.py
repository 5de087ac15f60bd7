"""The parts of a step, by a clock that counts operations in place of seconds."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.counting import Counted, CountingBackend, counted
from rbench.cost import breakdown as module
from rbench.cost.breakdown import beginnings, breakdown, quickest
from rbench.losses import get_loss
from rbench.methods import Problem
from rbench.methods.curved import Curved
from rbench.methods.operations import layer_works, pass_operations
from rbench.plugins import plugins
from rbench.tasks import Dataset
from rbench.tasks.networks import mlp
from rbench.train import clock
from rbench.train.batches import Batches
from rbench.train.cell import configured
from rbench.train.stepper import Stepper

DATA, TOTAL = 6, 20
METHODS = {  # rows per datum that the metric adds to the gradient's
    "sgd": 0,
    "sgd[momentum=0]": 0,
    "adam": 0,
    "muon": 0,
    "modular-norm": 0,
    "shampoo": 0,
    "soap": 0,
    "prong": 0,
    "kfac": 1,
    "kfac[decay=0]": 1,
    "kfac[factors=empirical]": 0,
    "kfac[refresh=4]": 1 / 4,
    "kfac[refresh=4,fit=scalar]": 1,
    "ekfac[refresh=4]": 1,
    "naive": 1,
    "natural-gradient": 0,
    "natural-gradient[solve=woodbury]": 1,
    "natural-gradient[fit=layers]": 1,
    "riemannian[solver=gram]": 1,
    "riemannian[solver=rows]": 1,
    "riemannian[solver=dense,rank=2]": 2,
    "riemannian[solver=inverse]": 1,
    "riemannian[coupling=network]": 1,
    "riemannian[output_metric=ggn]": 2,
    "riemannian[output_metric=empirical_fisher]": 0,
    "riemannian[metric_batch=3]": 1 / 2,
    "riemannian[mass=kronecker,refresh=2,factor_refresh=4]": 1 / 2,
}


class Ticking(CountingBackend):
    """Counts the numbers of each sum of weights too."""

    def add_scaled(self, x, scale, y, *, spare=False):
        Counted.pairs += x.size
        return super().add_scaled(x, scale, y, spare=spare)


@pytest.fixture
def operations(monkeypatch):
    """The clock reads operations."""
    for one in (module, clock):
        monkeypatch.setattr(one, "perf_counter", lambda: Counted.pairs)


def prepared(spec):
    """A method's stepper on random data, and the initial weights."""
    (method,) = configured("methods", spec)
    backend = Ticking()
    net = mlp((5, 4, 4, 3), "tanh")
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(4 * DATA, 5)), numbers.integers(0, 3, 4 * DATA)
    problem = Problem(backend, net, get_loss("cross_entropy"))
    batches = Batches(problem, Dataset(x, y, x, y, sha256=""), DATA, seed=0)
    return Stepper(problem, method, batches), net.init(backend)


def test_every_method_is_in_the_table():
    built_in = {name for name, cls in plugins().registered("methods").items() if cls.__module__.startswith("rbench.")}
    assert {spec.partition("[")[0] for spec in METHODS} == built_in


@pytest.mark.parametrize(("spec", "rows"), METHODS.items())
def test_the_parts_are_the_operations_of_a_step(operations, spec, rows):
    stepper, params = prepared(spec)
    parts = breakdown(stepper, params, TOTAL)
    works = layer_works(stepper.problem.net, ((5,),))
    forward = pass_operations(works, DATA, 0)
    pulled = DATA * sum(work.pulled for work in works)
    of_gradient = 0 if isinstance(stepper.method, Curved) else DATA * sum(work.weights for work in works)
    weights = sum(layer.n_parameters for layer in stepper.problem.net.layers)
    assert parts["forward_seconds"] == pytest.approx(forward)
    assert parts["pullback_seconds"] == pytest.approx(pulled + of_gradient)
    assert parts["metric_seconds"] == pytest.approx(rows * pulled)
    assert parts["apply_seconds"] == pytest.approx(weights)
    calls = [partial(stepper.call(index, TOTAL), params, stepper.start(params)) for index in range(TOTAL)]
    steps = [counted(call) for call in calls]
    assert sum(parts.values()) == pytest.approx(np.mean(steps))


@pytest.mark.parametrize("spec", METHODS)
def test_beginnings_compute_the_loss_of_the_step_they_begin(spec):
    stepper, params = prepared(spec)
    begin = beginnings(stepper.problem, stepper.method)
    for index in stepper.variants(TOTAL):
        phase = stepper.method.phase(index)
        batch = stepper.batches(index)
        noisy = batch._replace(noise=stepper.batches.noise(index, stepper.method.samples_in(phase)))
        step = stepper.call(index, TOTAL)(params, stepper.start(params))
        options = {"phase": phase} if isinstance(stepper.method, Curved) else {}
        losses = [begin.forward(params, batch), begin.pushed(params, batch)[0], begin.pullback(params, batch)[0]]
        np.testing.assert_allclose([*losses, begin.metric(params, noisy, **options)[0]], step.loss, rtol=1e-12)


def test_a_slow_period_and_interruptions_leave_the_parts_as_they_are(monkeypatch):
    costs, made = (1.0, 3.0, 40.0), []
    now = 0.0

    def call(cost):
        nonlocal now
        made.append(cost)
        slow = 5.0 if len(made) < 20 else 1.0
        interrupted = 100.0 if len(made) % 7 == 0 else 0.0
        now += cost * slow + interrupted

    for one in (module, clock):
        monkeypatch.setattr(one, "perf_counter", lambda: now)
    monkeypatch.setattr(module, "BUDGET", 2000.0)
    backend = SimpleNamespace(synchronize=lambda arrays=(): None)
    assert quickest(backend, [lambda cost=cost: call(cost) for cost in costs]) == list(costs)
    assert made[:6] == [*costs, *costs]
    assert made.count(1.0) > made.count(40.0) > module.FEWEST
