"""Latent diffusion by minimizing movements: encodings, the exact denoiser, the sampler, pictures."""

import json

import numpy as np
import pytest
import scipy.special
import scipy.stats
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from helpers.command import call
from rbench.experiment import Limits, Outcome
from rbench.tasks.dataset import Dataset
from rbench.tasks.digits import Digits
from rbench.theory.mms.cells import Mms
from rbench.theory.mms.encodings import Encoding, encoded
from rbench.theory.mms.latent import LOW, STEPS, LatentDiffusion, energy_distance, inputs, noisy, sampled


@pytest.fixture(scope="module")
def digits(backend):
    return encoded("digits", 8, backend)


def test_digits_latents_are_whitened_principal_components(digits):
    data = Digits().dataset()
    oracle = PCA(8, whiten=True).fit(data.x_train.astype(np.float64))
    ours, theirs = digits.test, oracle.transform(data.x_test.astype(np.float64))
    signs = np.sign(np.sum(ours * theirs, axis=0))
    n = len(data.x_train)
    np.testing.assert_allclose(ours, signs * theirs * (n / (n - 1)) ** 0.5, atol=1e-5)  # scikit-learn divides by n − 1
    np.testing.assert_allclose(digits.train.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.cov(digits.train.T, bias=True), np.eye(8), atol=1e-6)
    images = np.clip(oracle.inverse_transform(theirs), 0, 1).reshape(-1, 8, 8)
    np.testing.assert_allclose(digits.decode(ours), images, atol=1e-5)


def test_mnists_latents_are_those_of_a_trained_autoencoder(backend, monkeypatch):
    """Images of 784 pixels that three numbers make: a code of three reproduces them better than their mean does."""
    random = np.random.default_rng(0)
    x = scipy.special.expit(random.normal(size=(2600, 3)) @ random.normal(size=(3, 784))).astype(np.float32)
    made = Dataset(x[:2500], x[:2500], x[2500:], x[2500:], "")
    monkeypatch.setattr("rbench.theory.mms.encodings.MnistAutoencoder.load", lambda *_: made)
    found = encoded("mnist", 3, backend)
    np.testing.assert_allclose(np.cov(found.train.T, bias=True), np.eye(3), atol=1e-6)
    images = found.decode(found.test).reshape(-1, 784)
    assert found.test.shape == (100, 3)
    assert 0 <= images.min() <= images.max() <= 1
    assert np.mean((images - x[2500:]) ** 2) < 0.5 * np.mean((x[:2500].mean(axis=0) - x[2500:]) ** 2)


def points_of(encoding, backend, monkeypatch, **settings):
    monkeypatch.setattr("rbench.theory.mms.latent.encoded", lambda *_: encoding)
    latent = encoding.train.shape[1]
    return LatentDiffusion(latent=latent, **settings).points(backend, 3)


def test_the_exact_denoiser_is_the_posterior_mean(backend, monkeypatch, rng):
    """Of two points ±1 it is tanh(x/σ²)."""
    two = Encoding(np.array([[-1.0], [1.0]]), np.array([[0.5]]), lambda z: z)
    points = points_of(two, backend, monkeypatch)
    x, sigma = rng.normal(size=(50, 1)), rng.uniform(0.2, 5, (50, 1))
    np.testing.assert_allclose(points.exact(x, sigma), np.tanh(x / sigma**2), atol=1e-12)


def test_the_exact_denoisers_error_is_orthogonal_to_any_other_denoiser(backend, monkeypatch, digits):
    """So that E|D − z|² = E|D* − z|² + E|D − D*|² over draws of training latents, here for D = x/(1 + σ²)."""
    points = points_of(digits, backend, monkeypatch)
    z, x, sigma = noisy(digits.train, 20_000, np.random.default_rng(0))
    exact, linear = points.exact(x, sigma), x / (1 + sigma**2)
    gained = np.mean((linear - z) ** 2) - np.mean((exact - z) ** 2)
    assert gained == pytest.approx(np.mean((linear - exact) ** 2), rel=0.05)  # a deviation of some 1 %


def test_fixed_draws_are_the_same_and_fresh_ones_are_not(backend, monkeypatch, digits):
    fixed = points_of(digits, backend, monkeypatch)
    fresh = points_of(digits, backend, monkeypatch, draws="fresh")
    np.testing.assert_array_equal(fixed.at(0)[0], fixed.at(4)[0])
    np.testing.assert_array_equal(fixed.reference()[1], fixed.at(0)[1])
    assert not np.any(fresh.at(0)[0] == fresh.at(4)[0])
    np.testing.assert_array_equal(fresh.at(4)[0], fresh.at(4)[0])
    x, sigma = fresh.held_out()
    np.testing.assert_array_equal(fresh.reference()[0], inputs(x, sigma))
    np.testing.assert_array_equal(fresh.reference()[1], fresh.exact(x, sigma))


@pytest.mark.parametrize(("draws", "bounded"), [("fixed", True), ("fresh", False)])
def test_a_bound_is_stated_only_where_the_points_stay(backend, draws, bounded):
    task = f"latent-diffusion[draws={draws},outer=2,count=32]"
    cell = Mms(suite="mms", task=task, method="lbfgs", backend="numpy", dtype="float64", delta=0.5)
    outcome = Outcome()
    cell.run(backend, outcome, lambda done, total: None, Limits())
    assert outcome.figures["reached"] == 1
    assert (outcome.figures["bound_trajectory"] is not None, outcome.figures["bound_final"] is not None) == (
        bounded,
    ) * 2


def test_the_sampler_follows_the_flow_by_steps_of_second_order(rng):
    """Of standard normal latents D = x/(1 + σ²), and the flow keeps x/√(1 + σ²)."""
    start = rng.normal(size=(30, 2))
    coarse, fine = (
        np.abs(sampled(lambda x, sigma: x / (1 + sigma**2), start, steps) * np.sqrt(1 + LOW**2) - start).max()
        for steps in (STEPS, 2 * STEPS)
    )
    assert fine < coarse < 0.01
    assert coarse / fine == pytest.approx(4, rel=0.1)


def test_the_energy_distance_is_scipys_without_bias(rng):
    x, y = rng.normal(size=40), rng.normal(1, 2, size=30)
    bias = sum(cdist(z[:, None], z[:, None]).mean() / (len(z) - 1) for z in (x, y))
    found = energy_distance(x[:, None], y[:, None])
    assert found == pytest.approx(scipy.stats.energy_distance(x, y) ** 2 - bias, rel=1e-12)


def test_the_suite_publishes_pictures_of_samples(tmp_path):
    pytest.importorskip("matplotlib")
    task = "latent-diffusion[draws=fresh,tau=0.3,outer=2,count=16]"
    words = ("-t", task, "-m", "gauss_newton[cap=1]", "-m", "lbfgs[cap=2]")
    done = call("run", "mms-diffusion", *words, "-o", str(tmp_path / "run"))
    assert done.exit_code == 0, done.stderr
    rows = json.loads(call("table", str(tmp_path / "run"), "--format", "json").stdout)
    assert [row["inner_iterations"] for row in rows] == [2, 4]
    assert all(row["bound_trajectory"] is None and row["reached"] == 0 for row in rows)
    assert all(row["denoiser_distance"] == pytest.approx(row["final_distance"]) for row in rows)
    (picture,) = (tmp_path / "run").glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "latent-diffusion" in picture.name


@pytest.mark.parametrize(("setting", "message"), [("data=cifar10", "data"), ("draws=some", "draws"), ("latent=0", "0")])
def test_what_latent_diffusion_does_not_have_is_refused(setting, message):
    done = call("run", "mms", "-t", f"latent-diffusion[{setting}]")
    assert done.exit_code == 2
    assert message in done.stderr
