"""Losses: values, cotangents and Hessian factors against formulas written out by hand; sampling; extreme logits."""

import numpy as np
import pytest

from rbench.errors import MetricError
from rbench.losses import get_loss
from rbench.plugins import plugins
from rbench.testing import oracle

BATCH, D = 4, 3


@pytest.fixture
def data(loss, rng):
    """The loss, outputs (batch, d), and targets."""
    targets = {
        "cross_entropy": lambda: rng.integers(0, D, BATCH),
        "squared_error": lambda: rng.normal(size=(BATCH, D)),
        "binary_cross_entropy": lambda: rng.random((BATCH, D)),
    }
    return get_loss(loss), 3 * rng.normal(size=(BATCH, D)), targets[loss]()


def squares(rows):
    """RᵀR for every datum."""
    return np.einsum("bki,bkj->bij", rows, rows)


def hessians(loss, z):
    return np.stack([oracle.hessian(loss.name, row) for row in z])


def test_every_built_in_loss_is_registered():
    assert set(plugins().registered("losses")) == {"cross_entropy", "squared_error", "binary_cross_entropy"}


def test_values(data, backend):
    loss, z, y = data
    expected = [loss.dense.value(z[b], y[b]) for b in range(BATCH)]
    np.testing.assert_allclose(loss.values(backend, z, y), expected, rtol=1e-12)


def test_cotangents_are_the_gradient_of_values(data, backend):
    loss, z, y = data
    expected = [loss.dense.derivative(z[b], y[b]) for b in range(BATCH)]
    np.testing.assert_allclose(loss.cotangents(backend, z, y), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose([loss.dense.cotangent(z[b], y[b]) for b in range(BATCH)], expected, atol=1e-15)


def test_hessian_factor(data, backend):
    loss, z, y = data
    metric = squares(loss.hessian_factor(backend, z))
    np.testing.assert_allclose(metric, hessians(loss, z), rtol=1e-12, atol=1e-15)
    h = 1e-6 * np.eye(D)
    slopes = [(loss.cotangents(backend, z + step, y) - loss.cotangents(backend, z - step, y)) / 2e-6 for step in h]
    np.testing.assert_allclose(metric, np.stack(slopes, axis=1), atol=1e-8)


def test_predictions_are_where_the_expected_cotangent_vanishes(data, backend):
    loss, z, _ = data
    p = loss.predictions(backend, z)
    if loss.integer_targets:
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-14)
        parts = [p[:, k, None] * loss.cotangents(backend, z, np.full(BATCH, k)) for k in range(D)]
        np.testing.assert_allclose(sum(parts), 0, atol=1e-15)
    else:
        np.testing.assert_allclose(loss.cotangents(backend, z, p), 0, atol=1e-15)


def test_cross_entropy_samples_the_categorical_distribution(backend, rng):
    loss, z = get_loss("cross_entropy"), rng.normal(size=(1, D))
    p = loss.dense.mean(z[0])
    middles = np.cumsum(p) - p / 2  # one number that falls to each label
    rows = loss.sampled_factor(backend, z, middles[None])[0] * D**0.5
    np.testing.assert_allclose(rows, p - np.eye(D), rtol=1e-12)
    np.testing.assert_allclose((rows.T * p) @ rows, oracle.hessian(loss.name, z[0]), atol=1e-15)


def test_bernoulli_samples_each_output(backend, rng):
    loss, z = get_loss("binary_cross_entropy"), rng.normal(size=(1, D))
    p = loss.dense.mean(z[0])
    outcomes = np.stack(np.meshgrid(*[[0, 1]] * D), axis=-1).reshape(-1, D)
    noise = np.where(outcomes == 1, p / 2, (1 + p) / 2)
    rows = loss.sampled_factor(backend, z, noise[None])[0] * len(outcomes) ** 0.5
    np.testing.assert_allclose(rows, p - outcomes, rtol=1e-12)
    weights = np.where(outcomes == 1, p, 1 - p).prod(axis=1)
    np.testing.assert_allclose((rows.T * weights) @ rows, oracle.hessian(loss.name, z[0]), atol=1e-15)


def test_sampled_factor_is_unbiased(data, backend, rng):
    loss, z, _ = data
    samples = 40_000
    rows = loss.sampled_factor(backend, z, loss.noise(rng, BATCH, samples, D))
    assert rows.shape == (BATCH, samples, D)
    products = samples * np.einsum("bki,bkj->bkij", rows, rows)
    error = products.mean(axis=1) - hessians(loss, z)
    assert (np.abs(error) <= 5 * products.std(axis=1) / samples**0.5 + 1e-15).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_stay_finite(loss, dtype, backend, single):
    loss, on = get_loss(loss), {"float32": single, "float64": backend}[dtype]
    z = on.asarray([[1000, -1000, 0], [-1000, -1000, 1000], [1000, 1000, 1000], [0, 0, -1000], [88, -88, 104]])
    noise = on.asarray(loss.noise(np.random.default_rng(0), len(z), 2, D))
    for label in range(D):
        y = np.full(len(z), label) if loss.integer_targets else on.asarray(np.full(z.shape, label / 2))
        results = [
            loss.values(on, z, y),
            loss.cotangents(on, z, y),
            loss.hessian_factor(on, z),
            loss.predictions(on, z),
        ]
        results += [loss.sampled_factor(on, z, noise)]
        if loss.name == "cross_entropy":
            results += [loss.true_vs_rest_scale(on, z, y), true_vs_rest_rows(on, z, y)]
        for result in results:
            assert result.dtype == dtype
            assert np.isfinite(result).all()


def true_vs_rest_rows(backend, z, y):
    loss = get_loss("cross_entropy")
    return loss.true_vs_rest_scale(backend, z, y)[:, None] * loss.cotangents(backend, z, y)


@pytest.mark.parametrize("d", [2, 3, 10])
def test_true_vs_rest_is_a_lower_bound_of_ggn(d, backend, rng):
    z, y = 4 * rng.normal(size=(2000, d)), rng.integers(0, d, 2000)
    metric = squares(true_vs_rest_rows(backend, z, y)[:, None, :])
    np.testing.assert_allclose(metric, oracle.output_metrics("true_vs_rest", "cross_entropy", z, y), atol=1e-12)
    difference = hessians(get_loss("cross_entropy"), z) - metric
    assert np.linalg.eigvalsh(difference).min() >= -1e-12
    if d == 2:
        np.testing.assert_allclose(difference, 0, atol=1e-14)
    else:
        assert np.abs(difference).max() > 1e-3


@pytest.mark.parametrize(("dtype", "largest"), [("float32", 80), ("float64", 600)])
@pytest.mark.parametrize("sign", [1, -1], ids=["label certain", "label impossible"])
def test_true_vs_rest_keeps_its_digits(sign, dtype, largest, backend, single):
    on = {"float32": single, "float64": backend}[dtype]
    gap = np.linspace(0, largest, 50)
    z = on.asarray(np.stack([sign * gap, 0 * gap], axis=1))
    # For two classes the row is √(p (1 − p)) (−1, 1), and √(p (1 − p)) = 1 / (2 cosh(gap / 2)).
    expected = np.array([-1, 1]) / (2 * np.cosh(gap / 2))[:, None]
    np.testing.assert_allclose(true_vs_rest_rows(on, z, np.zeros(50, int)), expected, rtol=40 * on.epsilon)


@pytest.mark.parametrize("name", ["squared_error", "binary_cross_entropy"])
def test_true_vs_rest_needs_labels(name, backend):
    with pytest.raises(MetricError, match=f"'true_vs_rest' needs class labels, but the loss is '{name}'"):
        get_loss(name).true_vs_rest_scale(backend, np.ones((2, 3)), np.ones((2, 3)))


def test_unknown_loss():
    with pytest.raises(MetricError, match=r"no loss is called 'hinge'; there are: .*squared_error"):
        get_loss("hinge")
