"""The action of paths: laws that hold for any flow, closed forms of a linear one, and the suite."""

import json

import numpy as np
import pytest
import scipy.linalg
import scipy.special

from helpers.command import call
from rbench.errors import SpecError
from rbench.theory.action.excess import euler_constants, excess
from rbench.theory.action.flows import TanhFlow
from rbench.theory.action.path import INTEGRATORS, Path
from rbench.theory.flow import Point, flat, shaped

METRIC = np.array([[2.0, 0.3], [0.3, 1.0]])
HESSIAN = np.array([[1.0, 0.5], [0.5, 3.0]])
RATES = np.linalg.solve(METRIC, HESSIAN)
START = np.array([1.0, -2.0])
TASKS = {
    "constant": TanhFlow(metric=None, mass=1.0),
    "ggn": TanhFlow(),
    "cross-entropy": TanhFlow(loss="cross_entropy"),
    "ascent": TanhFlow(ascent=True),
}


def linear(w):
    """E = ½ wᵀHw with a constant metric, whose flow is w(t) = exp(−G⁻¹H t) w(0)."""
    return Point(float(w @ HESSIAN @ w) / 2, HESSIAN @ w, METRIC)


def exact(times):
    nodes = np.stack([scipy.linalg.expm(-RATES * t) @ START for t in times])
    return nodes, -(nodes @ RATES.T)


def descent(field):
    return lambda w: -field(w).velocity


def start_of(task, backend):
    return flat(backend, task.network.init(backend))


def path_of(task, backend, scheme, segments):
    field = task.field(backend)
    h = task.seconds / segments
    (made,) = (kind() for kind in INTEGRATORS if kind.name == scheme)
    path = made.integrate(lambda w: task.sign * field(w).velocity, start_of(task, backend), h, segments)
    return field, path, task.sign


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("scheme", ["euler", "heun", "rk4"])
def test_the_gap_is_the_action_less_the_change_of_the_loss_and_has_two_parts(backend, name, scheme):
    found = excess(*path_of(TASKS[name], backend, scheme, 80))
    assert found.gap > 0
    assert found.speed >= 0
    assert found.gap == pytest.approx(found.speed + found.direction, rel=1e-9)
    field, path, sign = path_of(TASKS[name], backend, scheme, 80)
    action = sum(
        weight * (field(w).inner(v, v) + field(w).velocity @ field(w).gradient) / 2
        for weight, w, v in path.quadrature()
    )
    change = sign * (field(path.nodes[-1]).value - field(path.nodes[0]).value)
    assert action - change == pytest.approx(found.gap, abs=1e-11)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(("scheme", "least"), [("euler", 1.8), ("heun", 3.8), ("rk4", 5.5)])
def test_the_gaps_order_is_twice_the_paths(backend, name, scheme, least):
    coarse, fine = (excess(*path_of(TASKS[name], backend, scheme, segments)) for segments in (40, 80))
    assert least <= np.log2(coarse.gap / fine.gap) <= least + 0.7
    assert np.log2(coarse.hamiltonian / fine.hamiltonian) >= 0.7 * {"euler": 1, "heun": 2, "rk4": 3}[scheme]


@pytest.mark.parametrize("name", TASKS)
def test_eulers_gap_and_hamiltonian_are_those_predicted(backend, name):
    field, path, sign = path_of(TASKS[name], backend, "euler", 80)
    found = excess(field, path, sign)
    of_gap, of_hamiltonian = euler_constants(field, path)
    assert found.gap / (of_gap * path.h**2) == pytest.approx(1, abs=0.15)
    assert 0.95 <= found.hamiltonian / (of_hamiltonian * path.h) <= 1.05


def test_a_linear_flows_acceleration_is_known():
    """ẅ = (G⁻¹H)² w, and the integral over the path by many points of SciPy's matrix exponential."""
    times = np.linspace(0, 1, 2001)
    nodes, velocities = exact(times)
    accelerations = -(velocities @ RATES.T)
    squares = np.einsum("ti,ij,tj->t", accelerations, METRIC, accelerations)
    crossed = np.abs(np.einsum("ti,ij,tj->t", velocities, METRIC, accelerations))
    of_gap, of_hamiltonian = euler_constants(linear, Path(times[20], nodes[::20], velocities[::20]))
    assert of_gap == pytest.approx(np.trapezoid(squares, times) / 6, rel=1e-5)
    assert of_hamiltonian == pytest.approx(crossed.max(), rel=0.02)  # the first quadrature point is not the start


def test_the_flow_itself_has_no_gap():
    times = np.linspace(0, 1, 201)
    found = excess(linear, Path(times[1], *exact(times)))
    assert abs(found.gap) < 1e-12
    assert found.hamiltonian < 1e-6


def test_the_same_course_at_another_pace_has_a_speed_gap_alone():
    times = np.linspace(0, 1, 401)
    nodes, velocities = exact(times**2)
    found = excess(linear, Path(times[1], nodes, velocities * 2 * times[:, None]))
    assert abs(found.direction) < 1e-9 * found.gap
    assert found.speed > 0.1
    assert found.hamiltonian > 1


def test_a_straight_detour_has_a_direction_gap():
    times = np.linspace(0, 1, 201)
    straight = Path(1.0, exact(times)[0][[0, -1]], None)
    assert excess(linear, straight).direction > 0.01


def dense_metric(task, backend, w):
    """M + (1/B) Σ_b J_bᵀ H_b J_b for each layer, J by central differences of the outputs."""
    x, _ = task.data()

    def outputs(w):
        (z,), _ = task.network.forward(backend, shaped(backend, task.network, w), (x,))
        return z

    j = np.stack([(outputs(w + 1e-6 * e) - outputs(w - 1e-6 * e)) / 2e-6 for e in np.eye(len(w))], axis=2)
    p = scipy.special.softmax(outputs(w), axis=1)
    hessians = {
        "cross_entropy": np.einsum("bi,ij->bij", p, np.eye(2)) - np.einsum("bi,bj->bij", p, p),
        "squared_error": np.stack([np.eye(2)] * len(x)),
    }
    pulled = np.einsum("bin,bij,bjm->nm", j, hessians[task.loss], j) / len(x) * (task.metric is not None)
    within = scipy.linalg.block_diag(*[np.ones((layer.n_parameters,) * 2) for layer in task.network.layers])
    return pulled * within + task.mass * np.eye(len(w))


@pytest.mark.parametrize("name", TASKS)
def test_a_field_is_the_networks_loss_gradient_and_metric(backend, name):
    task = TASKS[name]
    field = task.field(backend)
    w = start_of(task, backend)
    point = field(w)
    differences = [(field(w + 1e-6 * e).value - field(w - 1e-6 * e).value) / 2e-6 for e in np.eye(len(w))]
    np.testing.assert_allclose(point.gradient, differences, atol=1e-8)
    np.testing.assert_allclose(point.metric, dense_metric(task, backend, w), atol=1e-8)


def test_vectors_are_parameters_in_order(backend):
    net = TanhFlow().network
    vector = np.arange(sum(layer.n_parameters for layer in net.layers), dtype=float)
    params = shaped(backend, net, vector)
    assert [{name: array.shape for name, array in block.items()} for block in params] == [
        layer.shapes for layer in net.layers
    ]
    np.testing.assert_array_equal(flat(backend, params), vector)
    np.testing.assert_array_equal(params[0]["weight"].ravel(), vector[:18])
    np.testing.assert_array_equal(flat(backend, tuple(dict(sorted(block.items())) for block in params)), vector)


def test_a_metric_that_draws_is_refused():
    with pytest.raises(SpecError, match=r"ggn_mc.*draws samples anew"):
        TanhFlow(metric="ggn_mc")


def test_the_suite_has_a_row_for_each_path(tmp_path):
    done = call("run", "action", "-t", "tanh[metric=none,mass=1]", "-m", "heun", "-o", str(tmp_path / "run"))
    assert done.exit_code == 0, done.stderr
    rows = json.loads(call("table", str(tmp_path / "run"), "--format", "json").stdout)
    assert [(row["suite"], row["method"], row["segments"]) for row in rows] == [
        ("action", "heun", n) for n in (20, 40, 80)
    ]
    assert all(row["dtype"] == "float64" for row in rows)
    assert [row["gap_order"] > 3.5 for row in rows] == [True] * 3
    assert all(row["gap_over_predicted"] is None for row in rows)  # of Euler's alone


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "midpoint"), "no method is called"),
        (("-t", "relu"), "no task is called"),
        (("-t", "tanh[depth=3]"), "no setting 'depth'"),
        (("-t", "tanh[metric=true_vs_rest]"), "true_vs_rest"),
        (("--steps", "5"), "has no use for"),
    ],
)
def test_what_the_suite_does_not_have_is_refused(words, message):
    done = call("run", "action", *words)
    assert done.exit_code == 2
    assert message in done.stderr
