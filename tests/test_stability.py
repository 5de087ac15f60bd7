"""Algorithmic stability: the flow against dense metrics and closed forms, the laws of the bounds, and the suite."""

import json

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

from helpers.command import call
from rbench.errors import Skip, SpecError
from rbench.metrics import get_output_metric
from rbench.run.request import Request
from rbench.theory.flow import flat, network_field
from rbench.theory.stability.comparison import Comparison
from rbench.theory.stability.methods import Flow, Regularised, TwoStarts
from rbench.theory.stability.tasks import RandomFeatures, TanhNetwork
from rbench.theory.stability.training import Training, linearise

N = 6
FIRST = np.arange(N)
OTHER = np.array([N, 1, 2, 3, 4, 5])
TIMES = np.array([0.0, 0.3, 1.0, 4.0, 20.0])
TASKS = {"random features": RandomFeatures(features=12), "tanh": TanhNetwork(hidden=5)}
METRICS = {"mass": (None, 0.5), "ggn": (FIRST, 0.1), "ggn of the others": (OTHER, 0.1)}
PAIRS = {
    "mass": Flow(metric=None),
    "ggn": Flow(mass=0.1),
    "small mass": Flow(mass=0.01),
    "common metric": Flow(mass=0.1, common=True),
    "two starts": TwoStarts(mass=0.1),
    "two starts, mass": TwoStarts(metric=None),
}


def quiet(done, total):
    pass


def trained_on(data, pulled, mass, backend, task, **others):
    """The training, its initial weights and the targets of all data."""
    x, y = task.data(N, 1, 3)
    start = flat(backend, task.network.init(backend, 3))
    return Training(linearise(backend, task.network, x), y, data, pulled, mass, **others), start, x, y


def dense_metric(backend, task, x, y, pulled, mass, weights):
    """G, by the library's layer metrics."""
    rows = FIRST if pulled is None else pulled
    metric = None if pulled is None else get_output_metric("ggn")
    field = network_field(backend, task.network, "squared_error", metric, mass, x[rows], y[rows, None])
    return field(weights).metric


def dense_jacobian(module, weights):
    """J of all data, by central differences of the outputs."""
    steps = 1e-6 * np.eye(len(weights))
    return np.stack([(module(weights + e).outputs - module(weights - e).outputs) / 2e-6 for e in steps], axis=1)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize(("pulled", "mass"), METRICS.values(), ids=METRICS)
def test_the_velocity_is_the_natural_gradient_of_the_data_and_the_decay(backend, task, pulled, mass):
    training, w, x, y = trained_on(OTHER, pulled, mass, backend, task, decay=0.3)
    loss = network_field(backend, task.network, "squared_error", None, mass, x[OTHER], y[OTHER, None])
    metric = dense_metric(backend, task, x, y, pulled, mass, w)
    expected = -np.linalg.solve(metric, loss(w).gradient) - 0.3 * w
    np.testing.assert_allclose(training.velocity(w), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize(("pulled", "mass"), METRICS.values(), ids=METRICS)
def test_the_kernel_is_that_of_a_dense_metric_and_numerical_jacobians(backend, task, pulled, mass):
    training, w, x, y = trained_on(FIRST, pulled, mass, backend, task)
    j = dense_jacobian(training.module, w)
    metric = dense_metric(backend, task, x, y, pulled, mass, w)
    at = training.module(w)
    np.testing.assert_allclose(np.concatenate(at.jacobians, axis=1), j, atol=1e-8)
    np.testing.assert_allclose(training.kernel(at), j @ np.linalg.solve(metric, j.T), atol=1e-6)


@pytest.mark.parametrize(("pulled", "mass"), METRICS.values(), ids=METRICS)
def test_the_velocitys_derivative_is_exact_for_a_linear_module(backend, pulled, mass):
    training, w, _, _ = trained_on(OTHER, pulled, mass, backend, TASKS["random features"], decay=0.3)
    differences = [(training.velocity(w + e) - training.velocity(w - e)) / 2 for e in np.eye(len(w))]
    np.testing.assert_allclose(training.derivative(w), np.stack(differences, axis=1), atol=1e-10)


@pytest.mark.parametrize(("pulled", "mass"), METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_linear_modules_flow_has_a_closed_form(backend, pulled, mass, decay):
    """ẇ = −A w + b, so w(t) = exp(−At) w(0) + A⁺(I − exp(−At)) b, here with b in the range of A."""
    task = TASKS["random features"]
    training, w0, x, y = trained_on(OTHER, pulled, mass, backend, task, decay=decay)
    inverse = np.linalg.inv(dense_metric(backend, task, x, y, pulled, mass, w0))
    rows = x[OTHER]
    a = inverse @ rows.T @ rows / N + decay * np.eye(len(w0))
    b = inverse @ rows.T @ y[OTHER] / N
    rest = np.linalg.lstsq(a, b, rcond=1e-12)[0]
    run = training.run(w0, TIMES)
    expected = np.stack([rest + scipy.linalg.expm(-a * t) @ (w0 - rest) for t in TIMES])
    np.testing.assert_allclose(run.weights, expected, atol=3e-6)
    np.testing.assert_allclose(run.residuals, expected @ x.T - y, atol=3e-6)
    np.testing.assert_allclose(run.norms, np.broadcast_to(np.linalg.norm(x, axis=1), (len(TIMES), N + 1)))


@pytest.mark.parametrize(("pulled", "mass"), [*METRICS.values(), (None, 0.03)], ids=[*METRICS, "stiff"])
def test_the_integrator_follows_the_flow(backend, pulled, mass):
    training, w0, _, _ = trained_on(FIRST, pulled, mass, backend, TASKS["tanh"])
    precise = scipy.integrate.solve_ivp(
        lambda t, w: training.velocity(w), (0, 20), w0, method="DOP853", t_eval=TIMES, rtol=1e-11, atol=1e-12
    )
    np.testing.assert_allclose(training.run(w0, TIMES).weights, precise.y.T, atol=1e-5)


def exchange(backend, task, pulled, mass):
    """The runs on S and on S', whose metric is built on `pulled` where it is not S, and both trainings."""
    on_first = FIRST if pulled is not None else None
    one, w0, _, _ = trained_on(FIRST, on_first, mass, backend, task, kernels=True)
    other, *_ = trained_on(OTHER, pulled, mass, backend, task, kernels=True)
    return one, other, Comparison(TIMES, one.run(w0, TIMES), other.run(w0, TIMES), N, (0, N), mass)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize(("pulled", "mass"), METRICS.values(), ids=METRICS)
def test_the_change_is_driven_by_the_disturbance_and_the_kernel_difference(backend, task, pulled, mass):
    """J'ẇ' − Jẇ = −Θ'e/n + k + d at every time, and the figures are the largest norms of k and d."""
    one, other, found = exchange(backend, task, pulled, mass)
    ks, ds = [], []
    for index in range(len(TIMES)):
        w, v = found.one.weights[index], found.other.weights[index]
        f, g = one.module(w), other.module(v)
        j, j_other = (np.concatenate(at.jacobians, axis=1)[:N] for at in (f, g))
        theta, theta_other = one.kernel(f), other.kernel(g)
        r, s = f.outputs - one.y, g.outputs - one.y
        ks.append(-(theta_other - theta)[:N, :N] @ r[:N] / N)
        ds.append((theta_other[:N, 0] * s[0] - theta_other[:N, N] * s[N]) / N)
        velocity = j_other @ other.velocity(v) - j @ one.velocity(w)
        e = g.outputs[:N] - f.outputs[:N]
        np.testing.assert_allclose(velocity, -theta_other[:N, :N] @ e / N + ks[-1] + ds[-1], atol=1e-10)
    assert found.kernel_difference == pytest.approx(np.linalg.norm(ks, axis=1).max(), abs=1e-12)
    assert found.disturbance == pytest.approx(np.linalg.norm(ds, axis=1).max())
    kappa, largest = found.lipschitz, found.lipschitz_of_loss
    assert found.disturbance <= 2 * kappa**2 * largest / (mass * N**0.5)


def test_a_constant_kernel_has_no_difference_and_anothers_metric_has_one(backend):
    differences = {
        name: exchange(backend, TASKS["random features"], *metric)[2].kernel_difference
        for name, metric in METRICS.items()
    }
    assert differences["mass"] == 0
    assert differences["ggn"] == pytest.approx(0, abs=1e-12)
    assert differences["ggn of the others"] > 0.01


@pytest.mark.parametrize("task", [RandomFeatures(), TanhNetwork()], ids=lambda task: task.name)
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("n", [4, 16])
def test_rigorous_bounds_hold_and_the_theorems_is_above_the_trivial_one(backend, task, pair, n):
    found = pair.measure(task, backend, n, 1, quiet)
    assert 0 < found["ratio_a"] <= 1
    assert 0 < found["ratio_b"] <= 1
    assert 0 < found["xi_share"] <= 1
    if pair.name == "flow":
        assert found["bound_over_trivial"] >= 1
        assert found["bound_over_trivial"] == pytest.approx(1 / found["xi_share"])
        assert found["ratio"] == pytest.approx(found["distance"] / found["bound"])
        assert found["distance"] <= found["trivial_bound"]
    if pair.metric == "ggn" and not (pair.name == "flow" and not pair.common):
        assert found["largest_eigenvalue"] < len(task.network.layers)


@pytest.mark.parametrize("task", [RandomFeatures(), TanhNetwork()], ids=lambda task: task.name)
def test_starts_approach_at_the_rate_of_the_kernel_in_the_outputs_but_not_in_the_weights(backend, task):
    found = TwoStarts(mass=0.1).measure(task, backend, 8, 2, quiet)
    assert 0 < found["contraction"] <= 1
    assert found["outputs_apart"] < 1e-4
    assert found["weights_apart"] > 0.5


def test_the_distance_of_converged_flows_is_the_error_at_the_datum_left_out(backend):
    for task in (RandomFeatures(), TanhNetwork()):
        found = Flow(mass=0.01).measure(task, backend, 8, 1, quiet)
        assert found["distance"] == pytest.approx(found["left_out"], rel=1e-3)


def test_the_mass_alone_sets_the_unit_of_time_and_leaves_the_bound(backend):
    one, tenth = (
        Flow(metric=None, mass=mass, seconds=20 * mass).measure(TanhNetwork(), backend, 8, 0, quiet)
        for mass in (1.0, 0.1)
    )
    assert tenth["distance"] == pytest.approx(one["distance"], rel=1e-3)
    assert tenth["xi"] == pytest.approx(10 * one["xi"], rel=1e-3)
    assert tenth["bound"] == pytest.approx(one["bound"], rel=1e-3)


def test_with_weight_decay_the_distance_falls_as_the_bound_does(backend):
    sizes = (64, 128, 256, 512)
    found = [[Regularised().measure(RandomFeatures(), backend, n, seed, quiet) for n in sizes] for seed in range(5)]
    for figure, expected in (("distance", -0.5), ("per_datum", -1.0)):
        medians = np.median([[row[figure] for row in rows] for rows in found], axis=0)
        assert np.polyfit(np.log(sizes), np.log(medians), 1)[0] == pytest.approx(expected, abs=0.1)
    assert all(row["ratio"] <= 1 and row["per_datum_ratio"] <= 1 for rows in found for row in rows)
    assert all(row["bound_over_trivial"] < 1 for rows in found for row in rows)


def test_the_end_with_weight_decay_is_that_of_ridge_regression(backend):
    task, n, alpha = RandomFeatures(features=20), 5, 1.0
    x, y = task.data(n, 1, 0)

    def ridge(rows):
        return np.linalg.solve(x[rows].T @ x[rows] / n + 2.0 * alpha * np.eye(20), x[rows].T @ y[rows] / n)

    change = x[:n] @ (ridge([5, 1, 2, 3, 4]) - ridge([0, 1, 2, 3, 4]))
    found = Regularised(alpha=alpha, mass=2.0, exchanges=1).measure(task, backend, n, 0, quiet)
    assert found["distance"] == pytest.approx(np.linalg.norm(change), rel=1e-3)
    assert found["per_datum"] == pytest.approx(np.abs(change).max(), rel=1e-3)


def test_the_exchange_of_the_largest_distance_counts(backend):
    distances = [
        Regularised(exchanges=count, alpha=1.0).measure(RandomFeatures(), backend, 8, 0, quiet)["distance"]
        for count in (1, 2, 4, 8, 80)
    ]
    assert distances == sorted(distances)
    assert distances[0] < distances[3]
    assert distances[3] == distances[4]  # there are eight data to exchange


def test_inputs_lie_on_a_sphere_and_a_larger_set_has_the_smaller(backend):
    x, y = TanhNetwork().data(8, 2, 5)
    more, targets = TanhNetwork().data(16, 2, 5)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 10**0.5)
    np.testing.assert_array_equal(np.concatenate([x[:8], x[8:]]), np.concatenate([more[:8], more[16:]]))
    np.testing.assert_array_equal(y[8:], targets[16:])


def test_more_outputs_than_weights_are_void(backend):
    with pytest.raises(Skip, match=r"lost rank.*fewer data or more weights"):
        Flow(mass=0.1).measure(RandomFeatures(features=6), backend, 8, 0, quiet)


def test_the_suite_has_a_row_for_each_size_and_says_which_are_void(tmp_path):
    words = ("-t", "random-features[features=20]", "-m", "flow[metric=none,mass=1]", "-m", "flow[metric=ggn,mass=0.1]")
    done = call("run", "stability", *words, "--seeds", "1", "-o", tmp_path / "run")
    assert done.exit_code == 1  # not all cells are ok
    rows = json.loads(call("table", tmp_path / "run", "--format", "json").stdout)
    assert [(row["method"], row["n_data"]) for row in rows] == [
        (method, n) for method in words[3::2] for n in (8, 16, 32, 64)
    ]
    assert [row["status"] for row in rows] == ["ok", "ok", "skipped", "skipped"] * 2
    assert all("lost rank" in row["reason"] for row in rows if row["status"] == "skipped")
    assert all(row["ratio"] < 1 < row["bound_over_trivial"] for row in rows if row["status"] == "ok")
    assert "distance / bound" in call("table", tmp_path / "run").stdout


def test_a_suite_may_have_sizes_of_its_own_for_a_method():
    cells = Request(suites=("stability",), tasks=("tanh",), seeds=2).cells()
    sizes = {cell.method: {other.n_data for other in cells if other.method == cell.method} for cell in cells}
    assert sizes.pop("regularised[alpha=0.1]") == {8, 16, 32, 64, 128, 256, 512}
    assert set(map(frozenset, sizes.values())) == {frozenset({8, 16, 32, 64})}
    assert len(cells) == 2 * (7 + 4 * len(sizes))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Flow, {"metric": None, "common": True}, "leave common out"),
        (Flow, {"metric": "ggn_mc"}, "ggn"),
        (Flow, {"mass": 0.0}, "greater than 0"),
        (Regularised, {"alpha": 0.0}, "greater than 0"),
        (Regularised, {"alpha": 20.0}, "less than 10"),
        (RandomFeatures, {"features": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_without_a_meaning_are_refused(kind, settings, message):
    with pytest.raises(SpecError, match=message):
        kind(**settings)
