"""The NumPy backend takes the caller's arrays as they are, and writes into none."""

import numpy as np
import pytest

from rbench import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, ScaleShift, Tanh
from rbench.losses import get_loss
from rbench.methods import KFAC, SGD, Adam, Batch, Naive, Problem, Riemannian, compile_step
from rbench.train.clock import arrays_of

NETWORKS = {
    "vectors": (Linear(4, 5) >> Tanh() >> Linear(5, 3, bias=False), (4,)),
    "images": (
        Conv2d(2, 3, 2) >> ReLU() >> MaxPool2d(2) >> ScaleShift(3) >> AvgPool2d(2) >> Flatten() >> Linear(3, 3),
        (2, 5, 5),
    ),
}
METHODS = [
    SGD(weight_decay=0.1),
    SGD(nesterov=True),
    Adam(weight_decay=0.1),
    *(Riemannian(solver=solver, kl_clip=0.01) for solver in ("gram", "rows", "dense", "inverse")),
    *(Riemannian(output_metric=metric) for metric in ("ggn", "true_vs_rest", "empirical_fisher", "identity")),
    Riemannian(output_metric="ggn", batch="mean"),
    Naive(),
    KFAC(),
    KFAC(refresh=2, kl_clip=0.01),
    KFAC(damping_split="eigen"),
    KFAC(decay=0.0),
]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.spec)
def test_no_step_writes_into_what_it_is_given(backend, rng, method, name):
    net, shape = NETWORKS[name]
    problem = Problem(backend, net, get_loss("cross_entropy"))
    noise = rng.random((6, method.samples)) if method.samples else None
    batch = Batch(rng.normal(size=(6, *shape)), rng.integers(0, 3, 6), noise)
    params, step = net.init(backend, 0), compile_step(problem, method)
    state = method.init(problem, params)
    for t in range(3):
        for array in arrays_of((params, state, tuple(batch))):
            array.flags.writeable = False
        result = step(params, state, batch, method.scalars(t, 3), phase=method.phase(t))
        params, state = result.params, result.state
    assert np.isfinite(result.loss)


def test_arrays_of_the_dtype_are_not_copied(backend, rng):
    x = rng.normal(size=(3, 2))
    assert np.shares_memory(backend.asarray(x), x)
