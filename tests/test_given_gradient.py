"""A step along a gradient that its batch brings: that of the loss, and any other."""

from functools import partial

import numpy as np
import pytest

from helpers.training import assert_same, trained
from rbench import Conv2d, Flatten, Linear, ScaleShift, Tanh
from rbench.methods import EKFAC, KFAC, Naive, Riemannian, map_blocks
from rbench.testing._networks import flat

NET = Conv2d(1, 3, 2) >> ScaleShift(3) >> Tanh() >> Conv2d(3, 2, 2, bias=False) >> Tanh() >> Flatten() >> Linear(8, 3)
STEPS, BATCH = 5, 6
METRICS = ("ggn", "ggn_mc", "identity", "empirical_fisher", "true_vs_rest")
METHODS = {
    **{name: Riemannian(output_metric=name) for name in METRICS},
    "clip and decay": Riemannian(kl_clip=1e-3, weight_decay=0.1),
    "refresh": Riemannian(refresh=2),
    "part of a batch": Riemannian(metric_batch=4),
    "network": Riemannian(coupling="network"),
    "mean": Riemannian(output_metric="ggn", batch="mean"),
    "spring": Riemannian(spring=True),
    "kronecker": Riemannian(mass="kronecker", factor_refresh=2),
    "diagonal": Riemannian(mass="diagonal", rows=False),
    "naive": Naive(),
    "kfac": KFAC(),
    "kfac refresh": KFAC(refresh=2, kl_clip=1e-3),
    "kfac forgets": KFAC(decay=0.0),
    "kfac eigen": KFAC(damping_split="eigen", factors="empirical", metric_batch=4, refresh=2),
    "ekfac": EKFAC(factors="exact", refresh=2),
}  # fmt: skip


@pytest.fixture
def batches(rng):
    return [(rng.normal(size=(BATCH, 1, 4, 4)), rng.integers(0, 3, BATCH)) for _ in range(STEPS)]


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_of_the_loss_may_as_well_be_given(name, batches, backend):
    start = NET.init(backend)
    own = trained(backend, METHODS[name], NET, start, batches)
    assert_same(trained(backend, METHODS[name], NET, start, batches, gradients=lambda g: g), own, start)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "clip and decay" and name != "kfac refresh"])
def test_the_first_step_is_linear_in_the_given_gradient(name, batches, backend):
    start = NET.init(backend)

    def moved(times):
        scaled = partial(map_blocks, lambda a: times * a)
        return trained(backend, METHODS[name], NET, start, batches[:1], gradients=scaled)

    one, two = moved(1.0), moved(-2.0)
    for first, second, before in zip(*(map(flat, params) for params in (one, two, start)), strict=True):
        np.testing.assert_allclose(second - before, -2 * (first - before), rtol=1e-9, atol=1e-13)
