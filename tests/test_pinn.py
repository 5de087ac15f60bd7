"""The task `poisson`: its equation, its loss, and how the suite `pinn` trains on it."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest

from helpers.command import call
from helpers.training import train
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.methods import Riemannian
from rbench.metrics import Batch, Problem
from rbench.run import Request
from rbench.tasks.networks import mlp
from rbench.tasks.poisson import Poisson
from rbench.testing._networks import forward
from rbench.tune import TuneRequest

SMALL = Poisson(interior=60, boundary=20, hidden=(16,))


def sines(x):
    """Value, slopes and Laplacian of Π_i sin(π x_i) at points (n, d), written out: jets (n, d + 2)."""
    value = np.prod(np.sin(np.pi * x), axis=1, keepdims=True)
    slopes = np.pi * np.cos(np.pi * x) * value / np.sin(np.pi * x)
    return np.concatenate([value, slopes, -x.shape[1] * np.pi**2 * value], axis=1)


@pytest.mark.parametrize(
    "task", [Poisson(), Poisson(dimension=3, interior=50, boundary=30)], ids=lambda task: task.spec
)
def test_the_exact_solution_has_no_residual(task):
    """Of the network nothing is used: the operators of the data, applied to the jets of the formula."""
    data, d = task.load(False), task.dimension
    with np.errstate(divide="ignore", invalid="ignore"):
        for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
            jets = np.nan_to_num(sines(x[:, 0, :d]))  # slopes on the boundary are 0/0, and have no coefficient
            np.testing.assert_allclose((jets * x[:, :, d]).sum(axis=1), y[:, 0], atol=1e-12 * np.abs(y).max())
    inside, edge = (slice(task.interior), slice(task.interior, None))
    assert np.all((data.x_train[inside, 0, :d] > 0) & (data.x_train[inside, 0, :d] < 1))
    assert np.all(np.isin(data.x_train[edge, 0, :d], (0, 1)).sum(axis=1) == 1)
    faces = np.abs(data.x_train[edge, 0, :d] - 0.5) == 0.5
    assert faces.any(axis=0).all()
    for x in (data.x_train, data.x_test):
        np.testing.assert_array_equal(x[:, 1:-1, :d], np.broadcast_to(np.eye(d), (len(x), d, d)))
        assert not x[:, -1, :d].any()


def test_the_loss_is_that_of_the_field(backend, rng, make_params):
    """(1/2N) Σ (Δu + f)² + (1/2M) Σ u², with u's derivatives in closed form for one hidden layer."""
    task = Poisson(interior=40, boundary=7, hidden=(5,))
    data, net = task.dataset(), task.network()
    params = make_params(net, rng)
    (a, b), (c, offset) = ((block["weight"][:, :-1], block["weight"][:, -1]) for block in params)
    x = data.x_train[:, 0, :2]
    t = np.tanh(x @ a.T + b)
    u = t @ c[0] + offset[0]
    laplacian = (-2 * t * (1 - t**2) * (a**2).sum(axis=1)) @ c[0]
    residual = laplacian[:40] + 2 * np.pi**2 * np.sin(np.pi * x[:40, 0]) * np.sin(np.pi * x[:40, 1])
    expected = np.mean(residual**2) / 2 + np.mean(u[40:] ** 2) / 2
    problem = Problem(backend, net, get_loss(task.loss))
    np.testing.assert_allclose(problem.value(params, Batch(data.x_train, data.y_train)), expected, rtol=1e-12)
    at_test = mlp((2, 5, 1), "tanh"), tuple({"weight": w, "bias": v} for w, v in ((a, b), (c, offset)))
    np.testing.assert_allclose(
        net.apply(backend, params, data.x_test), forward(*at_test, data.x_test[:, 0, :2])[0], rtol=1e-12
    )


def test_the_natural_gradient_descends_to_a_solution(backend):
    """By a line search the loss never grows; from some 50 it falls below 1e-5, and the network then is the solution."""
    data = SMALL.dataset()
    batches = [(data.x_train, data.y_train)] * 60
    method = Riemannian(lr=1.0, output_metric="ggn", coupling="network", mass=1e-4, momentum=0.0, line_search=15)
    net = SMALL.network()
    path = train(backend, method, net, net.init(backend, 1), batches, "squared_error")
    losses = [float(step.loss) for _, step in path]
    assert all(after <= before for before, after in pairwise(losses))
    assert losses[0] > 10
    assert losses[-1] < 1e-5
    u = net.apply(backend, path[-1][1].params, data.x_test)
    assert np.sqrt(np.mean((u - data.y_test) ** 2)) < 1e-2


@pytest.mark.parametrize("suite", ["pinn", "action"])
def test_a_suite_in_one_dtype_refuses_others(suite):
    for dtypes in ((), ("float64",)):
        cells = Request(suites=(suite,), dtypes=dtypes).cells()
        assert {cell.dtype for cell in cells} == {"float64"}
    for dtypes in (("float32",), ("float64", "float32")):
        words = f"suite '{suite}' is in float64 alone, not float32: leave `dtypes` out"
        with pytest.raises(SpecError, match=f"^{re.escape(words)}$"):
            Request(suites=(suite,), dtypes=dtypes).cells()


def test_a_search_is_in_the_dtype_of_its_suite():
    asked = {"suite": "pinn", "methods": ("sgd",), "trials": 2, "finalists": 1, "seed": 9}
    for dtype in (None, "float64"):
        assert {search.cell.dtype for search in TuneRequest(**asked, dtype=dtype).plan().searches} == {"float64"}
    with pytest.raises(SpecError, match="suite 'pinn' is in float64 alone, not float32"):
        TuneRequest(**asked, dtype="float32").plan()


def test_the_suite_runs(tmp_path):
    words = ("-t", "poisson[interior=30,boundary=12,hidden=[6]]", "--steps", "3", "-o", str(tmp_path / "run"))
    done = call("run", "pinn", *words)
    assert done.exit_code == 0, done.output
    rows = json.loads(call("table", str(tmp_path / "run"), "--format", "json").stdout)
    assert len(rows) > 5
    assert {row["status"] for row in rows} == {"ok"}
    assert all(row["test_squared_error"] > 0 for row in rows)
