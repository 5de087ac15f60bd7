"""EKFAC against the gate's reference, which forms eigenvectors and exact metrics in full, and its laws."""

from itertools import pairwise

import numpy as np
import pytest

from helpers.training import error_of_training
from rbench import Conv2d, Flatten, Linear, Tanh
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.methods import EKFAC, KFAC, Batch, Problem
from rbench.methods.ekfac import second_moments
from rbench.methods.kronecker import gradient_covariance, input_covariance, prepare
from rbench.metrics import get_output_metric, pull_metric
from rbench.modules import LayerPullback
from rbench.modules.inputs import Points
from rbench.testing._examples import BATCH, CONVOLUTIONS, NETWORKS, Example, draw_params, example
from rbench.testing._method_cases import Training

COMMON = {"lr": 0.1, "rank": 2, "damping": 0.3, "trust": 0.05, "weight_decay": 0.01}
SCHEDULES = {
    "each step": {},
    "no memory": {"decay": 0.0},
    "refreshed": {"refresh": 3},
    "refreshed, no memory": {"refresh": 2, "decay": 0.0},
    "part of the batch": {"metric_batch": 4, "refresh": 2},
    "clipped": {"kl_clip": 0.01, "refresh": 2},
    "fitted": {"fit": "layers", "refresh": 2},
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("factors", ["exact", "mc", "empirical"])
@pytest.mark.parametrize("network", ["residual", "branches"])
def test_steps_are_those_of_dense_eigenvectors(backend, network, factors, schedule):
    """With a loss and networks of which no factor has a repeated eigenvalue: along such eigenvectors s is arbitrary."""
    method = EKFAC(factors=factors, **COMMON | SCHEDULES[schedule])
    assert error_of_training(backend, network, method, "squared_error") < 1e-10


@pytest.fixture
def few_channels(rng):
    """A convolution with fewer inputs per position than data, whose means over positions span all directions then."""
    net = Conv2d(1, 3, 2) >> Tanh() >> Flatten() >> Linear(12, 3)
    return Example(net, draw_params(net, rng), (rng.normal(size=(BATCH, 1, 3, 3)),), "few channels", {})


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("factors", ["exact", "mc"])
def test_positions_take_part(backend, few_channels, factors, sharing):
    method = EKFAC(factors=factors, sharing=sharing, **COMMON)
    assert error_of_training(backend, few_channels, method, "squared_error") < 1e-10
    if sharing == "expand":
        assert error_of_training(backend, "strided images", method) < 1e-10


def pulled_back(backend, network):
    """An example's layers with the metric's rows, and each with its eigenvectors."""
    given, loss = example(network), get_loss("cross_entropy")
    batch = Batch(given.x if len(given.x) > 1 else given.x[0], given.targets[loss.name])
    _, layers = pull_metric(Problem(backend, given.net, loss), given.params, batch, get_output_metric("ggn"), "stack")
    for layer in layers:
        covariances = [input_covariance(backend, layer), gradient_covariance(backend, layer)]
        pair, _ = prepare(backend, covariances, 0.1, "eigen")
        yield layer, pair


def exact_metric(layer):
    """VᵀV of a layer, over outputs and inputs with the bias's 1."""
    rows = np.einsum("bkto,bti->bkoi", layer.factor_rows, with_ones(layer))
    v = rows.reshape(-1, layer.fan_out * layer.width)
    return v.T @ v


def with_ones(layer):
    return np.concatenate([layer.inputs, np.ones((*layer.inputs.shape[:2], int(layer.bias)))], axis=2)


@pytest.mark.parametrize("network", [*NETWORKS, *CONVOLUTIONS])
def test_no_other_diagonal_is_nearer_to_the_exact_metric(backend, network):
    """‖F − A ⊗ G‖² = ‖F − E‖² + ‖E − A ⊗ G‖², where E has the diagonal s: that of F in the eigenvectors' basis."""
    for layer, (a, g) in pulled_back(backend, network):
        exact = exact_metric(layer)
        basis = np.kron(g.matrix, a.matrix)
        s = second_moments(backend, layer, (a, g)).ravel()
        np.testing.assert_allclose(s, np.diag(basis.T @ exact @ basis), rtol=0, atol=1e-13 * s.max())
        corrected, kronecker = basis @ np.diag(s) @ basis.T, np.kron(g.covariance, a.covariance)
        squares = [np.sum(part**2) for part in (exact - kronecker, exact - corrected, corrected - kronecker)]
        np.testing.assert_allclose(squares[0], squares[1] + squares[2], rtol=1e-11, atol=1e-14 * np.sum(exact**2))


def test_rows_of_some_data_at_a_time_are_all_rows(backend, rng):
    """A layer of so many weights that a datum's rows take more than its inputs and cotangents: one at a time."""
    examples, rank, positions, fan_in, fan_out = 5, 2, 2, 7, 6
    source = Points(backend, rng.normal(size=(examples, positions, fan_in)))
    layer = LayerPullback(backend, source, rng.normal(size=(examples, 1 + rank, positions, fan_out)), True)
    covariances = [input_covariance(backend, layer), gradient_covariance(backend, layer)]
    (a, g), _ = prepare(backend, covariances, 0.1, "eigen")
    rows = np.einsum("bkto,bti->bkoi", layer.factor_rows, with_ones(layer))
    expected = ((g.matrix.T @ rows @ a.matrix) ** 2).sum(axis=(0, 1))
    np.testing.assert_allclose(second_moments(backend, layer, (a, g)), expected, rtol=1e-11)


@pytest.mark.parametrize("refresh", [1, 3])
def test_it_is_kfac_where_the_exact_metric_factors(backend, make_params, rng, refresh):
    """One linear layer with squared error: F = A ⊗ I, whose eigenvalues s are."""
    net = Linear(4, 3)
    params = make_params(net, rng)
    problem = Problem(backend, net, get_loss("squared_error"))
    batch = Batch(rng.normal(size=(6, 4)), rng.normal(size=(6, 3)))
    settings = {"factors": "exact", "damping": 0.3, "refresh": refresh, "decay": 0.5, "lr": 0.1}
    ends = []
    for method in (EKFAC(**settings), KFAC(damping_split="eigen", **settings)):
        state, at = method.init(problem, params), params
        for t in range(5):  # the same data, so that averages are those of a batch
            step = method.step(problem, at, state, batch, method.scalars(t, 5), method.phase(t))
            at, state = step.params, step.state
        ends.append(at[0])
    for key in ("weight", "bias"):
        np.testing.assert_allclose(ends[0][key], ends[1][key], rtol=1e-12)


def test_the_second_moments_are_renewed_at_every_step_and_the_eigenvectors_are_not(backend):
    training = Training(example("residual"), "squared_error", EKFAC(refresh=3, factors="exact"), 4)
    method = training.method
    problem, params, state = training.start(backend)
    states = []
    for t in range(4):
        step = method.step(problem, params, state, training.batch(problem, t, 0), method.scalars(t, 4), method.phase(t))
        params, state = step.params, step.state
        states.append(state[1])
    for t, ((factors, scales), (later, renewed)) in enumerate(pairwise(states), start=1):
        same = [np.array_equal(x.matrix, y.matrix) for x, y in zip(factors[0], later[0], strict=True)]
        assert same == [t % 3 != 0] * 2
        assert not any(np.array_equal(x, y) for x, y in zip(scales, renewed, strict=True))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"damping_split": "pi"}, "ekfac has no setting 'damping_split'"),
        ({"refresh": 0}, "refresh=0"),
        ({"damping": 0}, "damping=0"),
    ],
)
def test_settings_are_checked(settings, words):
    with pytest.raises(SpecError, match=words):
        EKFAC(**settings)
