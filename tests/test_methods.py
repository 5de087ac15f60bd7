"""Update rules against recursions written out in NumPy, in float64."""

import numpy as np
import pytest

import rbench
from rbench import Linear, Tanh
from rbench.losses import get_loss
from rbench.methods import KFAC, SGD, Adam, Batch, Naive, Problem, Riemannian
from rbench.random import generator
from rbench.train.clock import arrays_of

METRICS = ["identity", "ggn", "ggn_mc", "true_vs_rest", "empirical_fisher"]
SOLVERS = ["gram", "rows", "dense", "inverse"]
NET = Linear(4, 5) >> Tanh() >> Linear(5, 3)
STEPS, SIZE, RANK = 4, 6, 2


def flat(blocks):
    return np.concatenate([block[key].ravel() for block in blocks for key in ("weight", "bias")])


def shaped(vector):
    """The inverse of `flat`, for `NET`."""
    parts = np.split(vector, np.cumsum([20, 5, 15]))
    shapes = [(5, 4), (5,), (3, 5), (3,)]
    w0, b0, w1, b1 = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
    return {"weight": w0, "bias": b0}, {"weight": w1, "bias": b1}


@pytest.fixture
def problem(backend):
    return Problem(backend, NET, get_loss("cross_entropy"))


@pytest.fixture
def params(make_params, rng):
    return make_params(NET, rng)


@pytest.fixture
def batches(rng):
    return [(rng.normal(size=(SIZE, 4)), rng.integers(0, 3, SIZE)) for _ in range(STEPS)]


@pytest.fixture
def walk(problem, params, batches):
    """Train a method on the batches, sampling with the step as seed; the flat parameters after each step."""

    def go(method, total=STEPS):
        weights, state, path = params, method.init(problem, params), []
        for t, (x, y) in enumerate(batches):
            noise = None
            if method.samples:
                noise = problem.loss.noise(generator(t, "samples"), SIZE, method.samples, 3)
            step = method.step(problem, weights, state, Batch(x, y, noise), method.scalars(t, total), method.phase(t))
            assert float(step.loss) == pytest.approx(loss_value(weights, x, y), rel=1e-12)
            weights, state = step.params, step.state
            path.append(flat(weights))
        return path

    return go


def loss_value(weights, x, y):
    z = outputs(weights, x)[1]
    return np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(z, y, strict=True)])


def outputs(weights, x):
    hidden = np.tanh(x @ weights[0]["weight"].T + weights[0]["bias"])
    return hidden, hidden @ weights[1]["weight"].T + weights[1]["bias"]


def descend(w, direction, rates, momentum=0.0, decay=0.0, nesterov=False):
    velocity, path = np.zeros_like(w), []
    for t, lr in enumerate(rates):
        d = direction(w, t)
        velocity = momentum * velocity + d
        w = w - lr * ((d + momentum * velocity if nesterov else velocity) + decay * w)
        path.append(w)
    return path


def assert_paths(path, expected, rel=1e-12):
    for got, want in zip(path, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=rel * np.abs(want).max())


@pytest.fixture
def gradient(backend, batches):
    return lambda w, t: flat(rbench.loss_gradient(NET, shaped(w), *batches[t], loss="cross_entropy", backend=backend))


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.0, True), (0.8, False), (0.8, True)])
@pytest.mark.parametrize(("schedule", "rates"), [("constant", [0.2] * 4), ("linear", [0.2, 0.15, 0.1, 0.05])])
def test_sgd(walk, params, gradient, momentum, nesterov, decay, schedule, rates):
    method = SGD(lr=0.2, momentum=momentum, nesterov=nesterov, weight_decay=decay, schedule=schedule)
    assert_paths(walk(method), descend(flat(params), gradient, rates, momentum, decay, nesterov))


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adam(walk, params, gradient, decay):
    lr, beta1, beta2, epsilon = 0.05, 0.7, 0.9, 1e-3
    w = flat(params)
    m = s = np.zeros_like(w)
    expected = []
    for t in range(STEPS):
        g = gradient(w, t)
        m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g**2
        m_hat, s_hat = m / (1 - beta1 ** (t + 1)), s / (1 - beta2 ** (t + 1))
        w = w - lr * (m_hat / (np.sqrt(s_hat) + epsilon) + decay * w)
        expected.append(w)
    method = Adam(lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=decay)
    assert_paths(walk(method), expected)


@pytest.mark.parametrize("batch", ["stack", "mean"])
@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.6, 0.3)])
@pytest.mark.parametrize("metric", METRICS)
def test_riemannian(walk, params, batches, backend, metric, momentum, decay, batch):
    shared = {"output_metric": metric, "rank": RANK, "mass": 0.4, "batch": batch}

    def direction(w, t):
        made = rbench.riemannian_gradient(
            NET, shaped(w), *batches[t], loss="cross_entropy", backend=backend, seed=t, **shared
        )
        return flat(made)

    method = Riemannian(lr=0.2, momentum=momentum, weight_decay=decay, **shared)
    assert_paths(walk(method), descend(flat(params), direction, [0.2] * STEPS, momentum, decay), rel=1e-10)


APART = {
    "metric_batch": {"metric_batch": 2},
    "refresh": {"refresh": 3},
    "both": {"metric_batch": 4, "refresh": 2, "kl_clip": 0.002},
    "more than there are": {"metric_batch": 99, "refresh": 2},
}


@pytest.mark.parametrize("batch", ["stack", "mean"])
@pytest.mark.parametrize("settings", APART.values(), ids=APART)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_of_fewer_or_earlier_data(walk, params, batches, backend, metric, solver, settings, batch):
    """Against the metric of the batch's first data, kept between its renewals, in dense float64."""
    shared = {"output_metric": metric, "rank": RANK, "mass": 0.4, "batch": batch}
    kept, m, lr = {}, settings.get("metric_batch"), 0.2

    def direction(w, t):
        weights, (x, y) = shaped(w), batches[t]
        if t % settings.get("refresh", 1) == 0:
            kept["metrics"] = rbench.layer_metrics(
                NET, weights, x[:m], y[:m], loss="cross_entropy", backend=backend, seed=t, **shared
            )
        blocks = rbench.loss_gradient(NET, weights, x, y, loss="cross_entropy", backend=backend)
        gradients = [flat([block]) for block in blocks]
        made = np.concatenate([np.linalg.solve(g, d) for g, d in zip(kept["metrics"], gradients, strict=True)])
        slope = np.concatenate(gradients) @ made
        clip = settings.get("kl_clip")
        return made * (1 if clip is None else min(1, np.sqrt(clip / slope) / lr))

    method = Riemannian(lr=lr, solver=solver, **shared, **settings)
    assert_paths(walk(method), descend(flat(params), direction, [lr] * STEPS, 0.9), rel=1e-10)


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
def test_a_state_to_start_from_has_the_shapes_of_every_later_one(problem, params, batches, method):
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
def test_the_kl_clip_bounds_the_step(walk, params, gradient, method):
    lr, start = 0.5, flat(params)
    free = walk(method(lr=lr, momentum=0.0))
    direction, slope = (start - free[0]) / lr, gradient(start, 0) @ (start - free[0]) / lr
    tight = lr**2 * slope / 16
    clipped = walk(method(lr=lr, momentum=0.0, kl_clip=tight))[0]
    taken = (start - clipped) / lr
    np.testing.assert_allclose(taken, direction / 4, rtol=1e-9)
    assert_paths(walk(method(lr=lr, momentum=0.0, kl_clip=1e6)), free, rel=1e-14)


SCHEDULES = {
    "constant": [0.4, 0.4, 0.4, 0.4],
    "linear": [0.4, 0.3, 0.2, 0.1],
    "cosine": [0.4, 0.2 + 0.1 * 2**0.5, 0.2, 0.2 - 0.1 * 2**0.5],
}


@pytest.mark.parametrize("method", [SGD, Adam, Riemannian, Naive, KFAC], ids=lambda cls: cls.name)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(method, schedule):
    made = method(lr=0.4, schedule=schedule)
    np.testing.assert_allclose([made.scalars(t, 4)["lr"] for t in range(4)], SCHEDULES[schedule], rtol=1e-14)
