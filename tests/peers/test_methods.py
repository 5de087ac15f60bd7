"""Peers step as our own method with the same matrix does, or as their library does in a loop of its own."""

import itertools

import numpy as np
import pytest

import rbench
from rbench import Conv2d, Flatten, Linear, Tanh
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.methods import KFAC, Batch, Problem, compile_step
from rbench.testing.case import native, native_targets, on_host

STEPS, SIZE, OUTPUTS = 3, 8, 3
NETWORKS = {
    "vectors": (Linear(4, 6) >> Tanh() >> Linear(6, 3), (4,)),
    "images": (
        Conv2d(2, 3, 2, stride=2, padding=1) >> Tanh() >> Flatten() >> Linear(12, 3, bias=False),
        (2, 3, 3),
    ),
}
LOSSES = ("cross_entropy", "squared_error", "binary_cross_entropy")
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
PACKAGES = {"curvlinops-kfac": ("torch", "curvlinops"), "singd": ("torch", "singd"), "kfac-jax": ("jax", "kfac_jax")}


class Course:
    """Steps of methods on the same batches of one problem, on the backend of a peer."""

    def __init__(self, peer, net, shape, loss, dtype, rng, make_params):
        framework, package = PACKAGES[peer]
        pytest.importorskip(framework)
        pytest.importorskip(package)
        self.backend = rbench.get_backend(framework, dtype=dtype)
        self.problem = Problem(self.backend, net, get_loss(loss))
        self.start = native(self.backend, make_params(net, rng))
        self.batches = [self.batch(rng, shape) for _ in range(STEPS)]

    def batch(self, rng, shape):
        loss = self.problem.loss
        labels = rng.integers(0, OUTPUTS, SIZE) if loss.integer_targets else rng.random((SIZE, OUTPUTS))
        noise = self.backend.asarray(loss.noise(rng, SIZE, 1, OUTPUTS))
        x = self.backend.asarray(rng.normal(size=(SIZE, *shape)))
        return Batch(x, native_targets(self.backend, loss, labels), noise)

    def steps(self, method):
        """The weights after every step, as one vector each."""
        step = compile_step(self.problem, method)
        params, state = self.start, method.start(self.problem, self.start, self.batches[0])
        for t, batch in enumerate(self.batches):
            params, state, *_ = step(params, state, batch, method.scalars(t, STEPS), phase=method.phase(t))
            yield self.vector(params)

    def vector(self, params):
        return np.concatenate(on_host(self.backend, params))

    def check(self, ours, theirs, steps=STEPS):
        """The weights of two methods are the same, measured by how far they are from the start."""
        for one, other in itertools.islice(zip(ours, theirs, strict=True), steps):
            moved = np.abs(other - self.vector(self.start)).max()
            assert moved > 1e-2
            np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[self.backend.dtype] * moved)


@pytest.fixture
def course(rng, make_params):
    def make(peer, network="vectors", loss="cross_entropy", dtype="float64"):
        return Course(peer, *NETWORKS[network], loss, dtype, rng, make_params)

    return make


def test_structures_that_singd_lacks_in_float64_are_refused(course):
    method = configured("singd", structures=["dense", "triltoeplitz"])
    one = course("singd")
    with pytest.raises(SpecError, match=r"structures=\['dense', 'triltoeplitz'\] in float32 only"):
        method.init(one.problem, one.start)


def configured(name, **settings):
    return rbench.plugins.plugins().find("methods", name)(**settings)


SAME = {"lr": 0.3, "damping": 0.3, "momentum": 0.9, "refresh": 2}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "settings",
    [
        {"damping_split": "pi", "sharing": "expand", "factors": "exact"},
        {"damping_split": "eigen", "sharing": "reduce", "factors": "exact"},
        {"damping_split": "pi", "sharing": "reduce", "factors": "empirical"},
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_kfac_without_averages_steps_as_with_the_matrix_of_curvlinops(course, network, loss, dtype, settings):
    if settings["factors"] == "exact" and loss == "binary_cross_entropy":
        pytest.skip("curvlinops takes targets 0 and 1 only")
    both = course("curvlinops-kfac", network, loss, dtype)
    ours = KFAC(**SAME, **settings, decay=0.0)
    both.check(both.steps(ours), both.steps(configured("curvlinops-kfac", **SAME, **settings)))


@pytest.mark.parametrize(
    ("network", "loss", "split"),
    [
        ("vectors", "squared_error", "pi"),
        ("vectors", "binary_cross_entropy", "eigen"),
        ("images", "cross_entropy", "pi"),
    ],
)
def test_kfac_steps_as_kfac_jax_does_until_their_averages_differ(course, network, loss, split):
    """Two steps with the factors of the first batch: later ones weigh their averages differently."""
    both = course("kfac-jax", network, loss)
    settings = {**SAME, "damping_split": split, "factors": "exact"}
    theirs = configured("kfac-jax", **settings, factor_refresh=2)
    both.check(both.steps(KFAC(**settings)), both.steps(theirs), steps=2)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("settings", "given"),
    [
        ({}, {}),
        ({"riemannian_momentum": 0.0, "momentum": 0.0}, {"alpha1": 0.0, "momentum": 0.0}),
        ({"kfac_like": True}, {"kfac_like": True, "alpha1": 0.0}),
        ({"structures": ["diagonal", "hierarchical15_15"]}, {"structures": ("diagonal", "hierarchical15_15")}),
    ],
    ids=lambda settings: "-".join(settings) or "defaults",
)
def test_singd_steps_as_it_does_in_a_loop_of_its_own(course, network, settings, given):
    both = course("singd", network, dtype="float32" if settings.get("structures") else "float64")  # as it has them
    import torch
    from singd.optim.optimizer import SINGD

    from rbench_torch import module_params, to_module

    module = to_module(both.problem.net, both.start)
    optimizer = SINGD(module, **{"lr": 0.1, "T": 2, "lr_cov": 0.1, **given})

    def theirs():
        for batch in both.batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(batch.x), batch.y).backward()
            optimizer.step()
            yield both.vector(module_params(module))

    ours = configured("singd", lr=0.1, refresh=2, lr_cov=0.1, **settings)
    both.check(both.steps(ours), theirs())


@pytest.mark.parametrize("peer", PACKAGES)
def test_a_step_leaves_its_arguments_as_they_are(course, peer):
    both = course(peer)
    method = configured(peer, lr=0.1, refresh=2)
    step = compile_step(both.problem, method)
    params, state = both.start, method.start(both.problem, both.start, both.batches[0])
    for t, batch in enumerate(both.batches):
        scalars, phase = method.scalars(t, STEPS), method.phase(t)
        step(params, state, both.batches[0], scalars, phase=phase)
        first, second = (step(params, state, batch, scalars, phase=phase) for _ in range(2))
        np.testing.assert_array_equal(both.vector(first.params), both.vector(second.params))
        params, state, *_ = first


@pytest.mark.parametrize("peer", ["curvlinops-kfac", "kfac-jax"])
def test_sampled_labels_follow_the_noise_of_the_run(course, peer):
    both = course(peer)
    method = configured(peer, lr=0.1, factors="mc", refresh=1)
    step = compile_step(both.problem, method)
    state = method.start(both.problem, both.start, both.batches[0])

    def moved(noise):
        batch = both.batches[0]._replace(noise=noise)
        return both.vector(step(both.start, state, batch, method.scalars(0, 1), phase=method.phase(0)).params)

    first, *others = (moved(batch.noise) for batch in both.batches)
    np.testing.assert_array_equal(first, moved(both.batches[0].noise))
    assert max(np.abs(first - other).max() for other in others) > 1e-4
