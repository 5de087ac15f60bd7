"""Operations of a step and of its parts, against counts of what these compute."""

from itertools import product

import numpy as np
import pytest

from helpers.counting import CountingBackend, counted
from rbench import AvgPool2d, Conv2d, Flatten, JetLinear, JetTanh, Linear, ReLU
from rbench.cost import network, parts, timing
from rbench.losses import get_loss
from rbench.methods import Method, Problem
from rbench.methods.operations import layer_works
from rbench.tasks import Dataset
from rbench.train.batches import Batches
from rbench.train.cell import configured
from rbench.train.stepper import Stepper

IMAGES = Conv2d(3, 8, 3, padding=1) >> ReLU() >> Conv2d(8, 8, 3, padding=1) >> AvgPool2d(2) >> Flatten()
NETWORKS = {
    "mlp": (network("200-256-128-10")[0], (200,), 32),
    "few inputs": (network("20-64-5")[0], (20,), 48),
    "images": (IMAGES >> Linear(128, 5), (3, 8, 8), 16),
    "jets": (JetLinear(20, 40) >> JetTanh() >> JetLinear(40, 8) >> Flatten() >> Linear(32, 5), (4, 20), 64),
}
EXACT = [
    "sgd",
    "adam",
    "riemannian[output_metric=true_vs_rest]",
    "riemannian[output_metric=ggn,solver=rows]",
    "riemannian[output_metric=true_vs_rest,metric_batch=8]",
    "riemannian[output_metric=ggn,refresh=3]",
    "riemannian[output_metric=ggn_mc,metric_batch=8,refresh=4]",
    "riemannian[output_metric=ggn,batch=mean,metric_batch=8]",
    "kfac",
    "kfac[refresh=10]",
    "kfac[decay=0]",
    "kfac[decay=0,factors=exact]",
    "kfac[decay=0,factors=empirical]",
    "kfac[decay=0,kl_clip=0.001]",
    "kfac[decay=0,sharing=reduce]",
    "kfac[rank=2,refresh=3]",
    "kfac[fit=scalar]",
    "kfac[fit=layers,refresh=10,metric_batch=8]",
    "kfac[fit=layers,decay=0]",
    "riemannian[mass=kronecker,output_metric=true_vs_rest]",
    "riemannian[mass=kronecker,rows=false,fit=layers,factor_refresh=10,metric_batch=8]",
    "riemannian[mass=kronecker,output_metric=ggn,metric_batch=8,refresh=2,factor_refresh=4]",
    "riemannian[mass=diagonal,output_metric=ggn,factor_refresh=3,solver=rows]",
    "riemannian[mass=diagonal,rows=false,fit=scalar]",
    "natural-gradient",
    "natural-gradient[output_metric=ggn,metric_batch=8,iterations=3,warm_start=0.9,precondition=0.75]",
    "natural-gradient[output_metric=ggn,metric_batch=8,fit=scalar]",
    "natural-gradient[output_metric=true_vs_rest,solve=woodbury]",
    "ekfac",
    "ekfac[factors=exact,refresh=3]",
    "ekfac[factors=empirical,metric_batch=8,fit=layers]",
    "prong",
    "prong[refresh=1]",
    "riemannian[coupling=network,output_metric=true_vs_rest]",
    "riemannian[coupling=network,output_metric=ggn,solver=rows,spring=true,line_search=3]",
    "kfac[refresh=10,line_search=5]",
    "riemannian[coupling=network,mass=kronecker,output_metric=ggn,refresh=3,factor_refresh=3,fit=layers]",
    "shampoo",
    "shampoo[refresh=5,graft=adam]",
    "soap[refresh=3]",
    "muon",
    "muon[last=muon,iterations=3]",
    "modular-norm",
    "modular-norm[base=sgd,iterations=4]",
]
WITH_GRADIENTS_ROW = [
    "riemannian[output_metric=ggn_mc]",
    "riemannian[output_metric=ggn]",
    "riemannian[output_metric=ggn,batch=mean]",
    "riemannian[output_metric=true_vs_rest,batch=mean]",
]


def problem_of(net):
    return Problem(CountingBackend(), net, get_loss("cross_entropy"))


def step_pairs(problem, shape, batch, method):
    """The pairs that a step computes, the mean over a cycle of its variants."""
    rng, net = np.random.default_rng(0), problem.net
    x, y = rng.random((batch, *shape)), rng.integers(0, 5, batch)
    stepper = Stepper(problem, method, Batches(problem, Dataset(x, y, x, y, sha256=""), batch, seed=0))
    params = net.init(problem.backend)
    period = max(getattr(method, "refresh", 1), getattr(method, "factor_refresh", 1))
    state = stepper.start(params)
    calls = [stepper.call(index, 1000) for index in range(period)]
    return sum(counted(lambda call=call: call(params, state)) for call in calls) / period


@pytest.mark.parametrize(
    ("name", "spec"),
    [pair for pair in product(NETWORKS, EXACT) if (pair[0], pair[1][:12]) != ("jets", "modular-norm")],  # it has none
)
def test_the_operations_of_a_step_are_those_that_it_computes(name, spec):
    net, shape, batch = NETWORKS[name]
    (method,), problem = configured("methods", spec), problem_of(net)
    predicted = method.operations(problem, (shape,), batch)
    assert step_pairs(problem, shape, batch, method) == pytest.approx(predicted, rel=0.03)


@pytest.mark.parametrize("spec", WITH_GRADIENTS_ROW)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gram_product_has_at_most_the_gradients_rows_beside_those_predicted(name, spec):
    net, shape, batch = NETWORKS[name]
    (method,), problem = configured("methods", spec), problem_of(net)
    predicted, found = (
        method.operations(problem, (shape,), batch),
        step_pairs(problem, shape, batch, method),
    )
    ((d,),) = net.out_space((shape,))
    rank = d if method.batch == "mean" else method.metric.rank(problem.loss, d)
    beside = sum(
        ((rank + 1) ** 2 - rank**2) * (batch * work.positions) ** 2 * work.layer.fan_out / 2
        for work in layer_works(net, (shape,))
    )
    assert 0.97 * predicted <= found <= 1.03 * predicted + beside


@pytest.mark.parametrize("solver", ["dense", "inverse"])
def test_the_operations_of_solvers_in_the_weights(solver):
    net, shape = network("12-10-5")
    (method,), problem = configured("methods", f"riemannian[output_metric=ggn,solver={solver}]"), problem_of(net)
    predicted = method.operations(problem, (shape,), 12)
    assert step_pairs(problem, shape, 12, method) == pytest.approx(predicted, rel=0.05)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("gram_product", {"rows": 30, "width": 7}),
        ("capacitance_solve", {"rows": 30}),
        ("pullback", {"sizes": (6, 5, 4, 3), "batch": 4, "count": 2}),
        ("patches", {"images": (2, 3, 6, 6)}),
        ("convolution", {"images": (2, 3, 6, 6), "fan_out": 4}),
    ],
)
def test_the_operations_of_parts_are_those_that_they_compute(name, sizes):
    part = getattr(parts, name)(CountingBackend(), **sizes)
    assert counted(part.call) == pytest.approx(part.operations, rel=1e-9)


class Silent(Method):
    """A method that does not say what its step computes."""

    name, summary = "silent", ""

    def init(self, problem, params):
        return ()

    def step(self, *arguments):
        raise NotImplementedError


class Telling(Silent):
    """One that does."""

    def operations(self, problem, space, batch):
        return 2 * batch


@pytest.mark.parametrize(("method", "operations"), [(Silent(), None), (Telling(), 16)])
def test_a_method_of_a_plugin_has_the_floor_that_it_says(method, operations, monkeypatch):
    monkeypatch.setattr(timing, "configured", lambda kind, spec: (method,))
    counted = timing.PreparedStep(CountingBackend(), "16-8-4", 8, "own").counted()
    of_sgd = 8 * (2 * 16 * 8 + 3 * 8 * 4)  # forward and weight products at both layers, a pullback through the second
    assert counted["operations"] == operations
    assert counted["floor"] == (operations and operations / of_sgd)
