"""Update rules against the gate's dense reference, in float64."""

from functools import partial

import numpy as np
import pytest

import rbench
from helpers.faults import cell
from helpers.registered import registered
from helpers.training import error_of_training, train
from rbench import Linear, Tanh
from rbench.experiment import Limits, Outcome
from rbench.losses import get_loss
from rbench.methods import KFAC, SGD, Adam, Batch, Naive, Problem, Riemannian
from rbench.methods.base import map_blocks
from rbench.plugins import plugins
from rbench.random import generator
from rbench.testing import _networks as networks
from rbench.train.clock import arrays_of

METRICS = ["identity", "ggn", "ggn_mc", "true_vs_rest", "empirical_fisher"]
SOLVERS = ["gram", "rows", "dense", "inverse"]
NET = Linear(4, 5) >> Tanh() >> Linear(5, 3)
STEPS, SIZE, RANK = 4, 6, 2


@pytest.fixture
def params(make_params, rng):
    return make_params(NET, rng)


@pytest.fixture
def batches(rng):
    return [(rng.normal(size=(SIZE, 4)), rng.integers(0, 3, SIZE)) for _ in range(STEPS)]


@pytest.fixture
def walk(backend, params, batches):
    """Train a method on the batches; the flat parameters after each step."""

    def go(method):
        return [flat(step.params) for _, step in train(backend, method, NET, params, batches)]

    return go


@pytest.fixture
def error(backend):
    """How far training a method is from the dense reference."""
    return partial(error_of_training, backend, "residual", steps=STEPS)


def flat(blocks):
    return np.concatenate([networks.flat(block) for block in blocks])


def assert_paths(path, expected, rel=1e-12):
    for got, want in zip(path, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=rel * np.abs(want).max())


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.0, True), (0.8, False), (0.8, True)])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_sgd(error, momentum, nesterov, decay, schedule):
    assert error(SGD(lr=0.2, momentum=momentum, nesterov=nesterov, weight_decay=decay, schedule=schedule)) < 1e-12


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adam(error, decay):
    assert error(Adam(lr=0.05, beta1=0.7, beta2=0.9, epsilon=1e-3, weight_decay=decay)) < 1e-12


@pytest.mark.parametrize("batch", ["stack", "mean"])
@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.6, 0.3)])
@pytest.mark.parametrize("metric", METRICS)
def test_riemannian(error, metric, momentum, decay, batch):
    settings = {"output_metric": metric, "rank": RANK, "mass": 0.4, "batch": batch}
    assert error(Riemannian(lr=0.2, momentum=momentum, weight_decay=decay, **settings)) < 1e-10


APART = {
    "metric_batch": {"metric_batch": 2},
    "refresh": {"refresh": 3},
    "both": {"metric_batch": 4, "refresh": 2, "kl_clip": 0.002},
    "more than there are": {"metric_batch": 99, "refresh": 2},
}


@pytest.mark.parametrize("batch", ["stack", "mean"])
@pytest.mark.parametrize("apart", APART.values(), ids=APART)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_of_fewer_or_earlier_data(error, metric, solver, apart, batch):
    """Against the metric of the batch's first data, kept between its renewals."""
    settings = {"output_metric": metric, "rank": RANK, "mass": 0.4, "batch": batch, "solver": solver}
    assert error(Riemannian(lr=0.2, **settings, **apart)) < 1e-10


def test_a_metric_that_is_renewed_at_every_step_is_the_default(walk):
    for metric in METRICS:
        settings = {"lr": 0.2, "output_metric": metric, "rank": RANK}
        for same in ({"refresh": 1}, {"metric_batch": SIZE}, {"metric_batch": SIZE + 1}):
            assert_paths(walk(Riemannian(**settings, **same)), walk(Riemannian(**settings)), rel=0)


@pytest.mark.parametrize("settings", [{"metric_batch": 0}, {"metric_batch": -1}, {"refresh": 0}])
def test_sizes_and_intervals_below_one_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))}=.*greater than or equal to 1"):
        Riemannian(**settings)


@pytest.mark.parametrize("method", [Riemannian(refresh=3), Riemannian(refresh=2, output_metric="ggn", solver="dense")])
def test_a_state_to_start_from_has_the_shapes_of_every_later_one(backend, params, batches, method):
    problem = Problem(backend, NET, get_loss("cross_entropy"))
    state = method.start(problem, params, Batch(*batches[0], None))
    noise = problem.loss.noise(generator(0, "samples"), SIZE, 1, 3)
    for t in range(3):
        batch = Batch(*batches[t], noise if method.samples_in(method.phase(t)) else None)
        step = method.step(problem, params, state, batch, method.scalars(t, 4), method.phase(t))
        shapes = [[array.shape for array in arrays_of(each)] for each in (state, step.state)]
        assert shapes[0] == shapes[1]
        assert np.isfinite(step.health).all()
        state = step.state


@pytest.mark.parametrize("metric", METRICS)
def test_naive_is_the_same_update(walk, metric):
    settings = {"lr": 0.2, "output_metric": metric, "rank": RANK}
    paths = [walk(Riemannian(solver=solver, **settings)) for solver in SOLVERS]
    naive = walk(Naive(**settings))
    assert_paths(paths[3], naive, rel=0)
    for path in paths[:3]:
        assert_paths(path, naive, rel=1e-10)


@pytest.mark.parametrize("method", [Riemannian, Naive, KFAC], ids=lambda cls: cls.name)
def test_the_kl_clip_bounds_the_step(walk, params, batches, backend, method):
    lr, start = 0.5, flat(params)
    free = walk(method(lr=lr, momentum=0.0))
    gradient = flat(rbench.loss_gradient(NET, params, *batches[0], loss="cross_entropy", backend=backend))
    direction = (start - free[0]) / lr
    tight = lr**2 * gradient @ direction / 16
    clipped = walk(method(lr=lr, momentum=0.0, kl_clip=tight))[0]
    taken = (start - clipped) / lr
    np.testing.assert_allclose(taken, direction / 4, rtol=1e-9)
    assert_paths(walk(method(lr=lr, momentum=0.0, kl_clip=1e6)), free, rel=1e-14)


SCHEDULES = {
    "constant": [0.4, 0.4, 0.4, 0.4],
    "linear": [0.4, 0.3, 0.2, 0.1],
    "cosine": [0.4, 0.2 + 0.1 * 2**0.5, 0.2, 0.2 - 0.1 * 2**0.5],
}


@pytest.mark.parametrize("method", list(plugins().registered("methods").values()), ids=lambda cls: cls.name)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(method, schedule):
    made = method(lr=0.4, schedule=schedule)
    np.testing.assert_allclose([made.scalars(t, 4)["lr"] for t in range(4)], SCHEDULES[schedule], rtol=1e-14)


def test_a_run_is_evaluated_where_the_method_says(backend):
    class Nowhere(SGD):
        name, summary = "nowhere", "SGD that is evaluated at parameters that are zero"

        def evaluated(self, problem, params, state):
            assert [v["weight"].shape for v in state] == [w["weight"].shape for w in params]
            return map_blocks(np.zeros_like, params)

    outcome = Outcome()
    with registered(methods=[Nowhere]):
        cell("nowhere").run(backend, outcome, lambda done, total: None, Limits())
    losses = [point["train_loss"] for point in outcome.history]
    assert len(losses) > 2
    np.testing.assert_allclose(losses, np.log(2), rtol=1e-12)
