"""K-FAC against the gate's reference, which forms Kronecker products in full, and against the exact metric."""

import numpy as np
import pytest

import rbench
from helpers.training import SEED, error_of_training, train
from rbench import Conv2d, Flatten, Linear, Sigmoid, Tanh
from rbench.losses import get_loss
from rbench.methods import KFAC, Batch, Problem
from rbench.methods.kronecker import gradient_covariance, in_points, input_covariance
from rbench.modules import LayerPullback
from rbench.modules.inputs import Vectors
from rbench.testing._examples import BATCH, example

NET = Linear(4, 5) >> Tanh() >> Linear(5, 3, bias=False)
OUTPUT_METRICS = {"exact": "ggn", "mc": "ggn_mc", "empirical": "empirical_fisher"}
STEPS, SIZE, RANK, DAMPING = 7, 6, 2, 0.3


@pytest.fixture
def params(make_params, rng):
    return make_params(NET, rng)


@pytest.fixture(params=[SIZE, 2])
def batches(rng, request):
    """Of six data, whose gradients are solved with as matrices, and of two, solved with in their points."""
    assert all(in_points(request.param, layer) == (request.param == 2) for layer in NET.layers)
    return [(rng.normal(size=(request.param, 4)), rng.integers(0, 3, request.param)) for _ in range(STEPS)]


@pytest.mark.parametrize("split", ["pi", "eigen"])
@pytest.mark.parametrize("kind", OUTPUT_METRICS)
@pytest.mark.parametrize(("decay", "refresh"), [(0.0, 1), (0.95, 1), (0.4, 1), (0.95, 3)])
@pytest.mark.parametrize("network", ["no bias", "wide"])
def test_training_is_that_of_dense_kronecker_products(backend, network, kind, split, decay, refresh):
    """On networks whose gradients are solved with as matrices, and in their points at the first layer."""
    in_their_points = [in_points(BATCH, layer) for layer in example(network).net.layers]
    assert in_their_points == [network == "wide", False]
    method = KFAC(
        lr=0.2, momentum=0.5, weight_decay=0.1, rank=RANK, damping=DAMPING,
        factors=kind, damping_split=split, decay=decay, refresh=refresh,
    )  # fmt: skip
    assert error_of_training(backend, network, method, steps=STEPS) < 1e-11


def test_factors_stay_between_refreshes(backend, params, batches):
    method = KFAC(refresh=3, factors="exact")
    assert [method.phase(t) for t in range(STEPS)] == [True, False, False, True, False, False, True]
    states = [step.state[1] for _, step in train(backend, method, NET, params, batches)]
    for t in range(1, STEPS):
        for old, new in zip(states[t - 1], states[t], strict=True):
            same = all(np.array_equal(x, y) for f, g in zip(old, new, strict=True) for x, y in zip(f, g, strict=True))
            assert same == (t % 3 != 0), f"step {t}"


EXACT = {
    "one linear layer, squared error": (Linear(4, 3), "squared_error", SIZE, ["exact"]),
    "one linear layer without bias": (Linear(4, 3, bias=False), "squared_error", SIZE, ["exact"]),
    "one datum": (NET, "cross_entropy", 1, ["exact", "mc", "empirical"]),
    "one datum, three layers": (
        Linear(4, 4) >> Sigmoid() >> Linear(4, 3) >> Tanh() >> Linear(3, 3), "cross_entropy", 1, ["exact", "mc"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("case", "kind"), [(name, kind) for name, (*_, kinds) in EXACT.items() for kind in kinds])
def test_the_exact_metric_where_it_factors(backend, make_params, rng, case, kind):
    net, loss, size, _ = EXACT[case]
    params, x = make_params(net, rng), rng.normal(size=(size, 4))
    y = rng.integers(0, 3, size) if loss == "cross_entropy" else rng.normal(size=(size, 3))
    method = KFAC(lr=1.0, momentum=0.0, factors=kind, rank=RANK, damping=DAMPING, damping_split="eigen", decay=0.0)
    ((_, step),) = train(backend, method, net, params, [(x, y)], loss)
    settings = {"output_metric": OUTPUT_METRICS[kind], "rank": RANK, "mass": DAMPING, "seed": SEED}
    exact = rbench.riemannian_gradient(net, params, x, y, loss=loss, backend=backend, **settings)
    for before, after, direction in zip(params, step.params, exact, strict=True):
        for key, expected in direction.items():
            np.testing.assert_allclose(before[key] - after[key], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("split", ["pi", "eigen"])
def test_a_layer_without_gradient_stands_still(backend, params, batches, split):
    """Its gradient covariance is zero, as behind units that are all dead."""
    params = (params[0], {"weight": params[1]["weight"] * 0})
    method = KFAC(lr=1.0, momentum=0.0, factors="exact", damping_split=split)
    ((_, step),) = train(backend, method, NET, params, batches[:1])
    assert np.isfinite(step.health).all()
    np.testing.assert_array_equal(step.params[0]["weight"], params[0]["weight"])


WIDE = Linear(9, 8) >> Tanh() >> Linear(8, 3)
IMAGES = Conv2d(2, 3, 2, stride=2, padding=1) >> Tanh() >> Conv2d(3, 12, 1) >> Flatten() >> Linear(108, 3)


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("kl_clip", [None, 1e-4])
@pytest.mark.parametrize(("net", "shape"), [(WIDE, (9,)), (IMAGES, (2, 4, 4))], ids=["wide", "images"])
@pytest.mark.parametrize("size", [4, 40])
def test_every_form_of_the_solve_is_the_same(net, shape, size, kl_clip, sharing, backend, rng):
    """At the first step nothing is averaged yet; few data are solved in points, many in factors."""
    problem = Problem(backend, net, get_loss("cross_entropy"))
    params, y = net.init(backend, seed=1), rng.integers(0, 3, size)
    batch = Batch(rng.normal(size=(size, *shape)), y, rng.random((size, 2)))
    ends = []
    for settings in ({"decay": 0.0}, {"decay": 0.5}, {"refresh": 2}):
        method = KFAC(rank=2, lr=0.5, kl_clip=kl_clip, sharing=sharing, **settings)
        step = method.step(problem, params, method.init(problem, params), batch, method.scalars(0, 9), True)
        assert np.isfinite(step.health).all()
        ends.append(np.concatenate([block[key].ravel() for block in step.params for key in block]))
    start = np.concatenate([block[key].ravel() for block in params for key in block])
    for other in ends[1:]:
        assert np.linalg.norm(other - ends[0]) < 1e-11 * np.linalg.norm(ends[0] - start)


def test_reduced_factors_are_of_means_and_sums_over_positions(backend, rng):
    source = Vectors(rng.normal(size=(6, 3))).one_example(backend)
    rows = LayerPullback(backend, source, rng.normal(size=(1, 2, 6, 4)), True)
    mean, total = rows.inputs[0].mean(axis=0), rows.cotangents[0, 1].sum(axis=0)
    with_one = np.append(mean, 1)
    np.testing.assert_allclose(input_covariance(backend, rows, "reduce"), np.outer(with_one, with_one), rtol=1e-12)
    np.testing.assert_allclose(gradient_covariance(backend, rows, "reduce"), np.outer(total, total), rtol=1e-12)
