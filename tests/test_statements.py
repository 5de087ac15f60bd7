"""Hamilton's equations against closed forms; the statements of the action, their controls, and what they refuse."""

import json

import numpy as np
import pytest
import scipy.linalg

from helpers.command import call
from rbench.theory.action.flows import TanhFlow
from rbench.theory.action.hamilton import Hamiltonian, differentiated, directional, fastest
from rbench.theory.action.path import gauss
from rbench.theory.action.statements import StatementCell
from rbench.theory.flow import Point

METRIC = np.array([[2.0, 0.3], [0.3, 1.0]])
HESSIAN = np.array([[1.0, 0.5], [0.5, 3.0]])
W, P = np.array([1.0, -2.0]), np.array([0.5, 1.5])


def linear(w):
    return Point(float(w @ HESSIAN @ w) / 2, HESSIAN @ w, METRIC)


def polar(w):
    """The plane in polar coordinates (r, angle), with E the first Cartesian coordinate."""
    r, angle = w
    gradient = np.array([np.cos(angle), -r * np.sin(angle)])
    return Point(float(r * np.cos(angle)), gradient, np.diag([1.0, r**2]))


@pytest.mark.parametrize("potential", [0.0, 0.3, 1.0])
def test_a_linear_systems_path_is_an_exponential(potential):
    """ẇ = G⁻¹p and ṗ = s H G⁻¹ H w."""
    inverse = np.linalg.inv(METRIC)
    generator = np.block([[np.zeros((2, 2)), inverse], [potential * HESSIAN @ inverse @ HESSIAN, np.zeros((2, 2))]])
    times = np.linspace(0, 2, 5)
    _, path, momenta = Hamiltonian(linear, potential).path(W, P, times)
    exact = np.stack([scipy.linalg.expm(generator * t) @ np.concatenate([W, P]) for t in times])
    np.testing.assert_allclose(np.hstack([path, momenta]), exact, rtol=1e-8)


def test_geodesics_of_the_plane_are_straight_lines():
    times = np.linspace(0, 1, 6)
    start, momentum = np.array([2.0, 0.3]), np.array([-0.5, 2.0])
    _, path, _ = Hamiltonian(polar, 0.0).path(start, momentum, times)
    points = np.stack([path[:, 0] * np.cos(path[:, 1]), path[:, 0] * np.sin(path[:, 1])], axis=1)
    steps = np.diff(points, axis=0)
    np.testing.assert_allclose(steps, np.tile(steps[0], (5, 1)), atol=1e-8)
    assert np.linalg.norm(steps[0]) * 5 == pytest.approx(np.hypot(0.5, 2.0 / 2.0), rel=1e-8)  # |p| in the dual metric


@pytest.mark.parametrize("potential", [0.0, 0.3, 1.0])
def test_rates_are_derivatives_of_the_hamiltonian(potential):
    """In polar coordinates H = ½ (p_r² + p_a²/r²) − ½ s, since ‖∇E‖ = 1: ṗ = (p_a²/r³, 0)."""
    system = Hamiltonian(polar, potential)
    w, p = np.array([1.3, 0.4]), np.array([0.7, -1.1])
    velocity, push = system.rates(w, p)
    np.testing.assert_allclose(velocity, [0.7, -1.1 / 1.3**2], rtol=1e-12)
    np.testing.assert_allclose(push, [1.1**2 / 1.3**3, 0], atol=1e-9)
    assert system.value(w, p) == pytest.approx((0.7**2 + 1.1**2 / 1.3**2 - potential) / 2, rel=1e-12)
    _, frozen = Hamiltonian(polar, potential, metric_moves=False).rates(w, p)
    assert np.abs(frozen - push).max() > 0.1


def test_a_path_ends_where_it_explodes():
    def falls(w):
        return Point(float(-(w[0] ** 4)), np.array([-4 * w[0] ** 3]), np.eye(1))

    times, path, _ = Hamiltonian(falls).path(np.array([1.0]), np.array([1.0]), np.linspace(0, 5, 101))
    assert 1 <= len(times) < 101
    assert len(path) == len(times)


def test_derivatives_of_a_cubic():
    def cubic(w):
        return np.array([w[0] ** 3, w[0] * w[1] ** 2])

    jacobian = np.array([[3 * W[0] ** 2, 0], [W[1] ** 2, 2 * W[0] * W[1]]])
    np.testing.assert_allclose(differentiated(cubic, W), jacobian.T, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(directional(cubic, W, P), jacobian @ P, rtol=1e-10)
    np.testing.assert_array_equal(directional(cubic, W, 0 * P), [0, 0])


def test_the_fastest_rate_of_a_linear_flow():
    assert fastest(linear, W) == pytest.approx(max(scipy.linalg.eigh(HESSIAN, METRIC)[0]), rel=1e-6)


def test_gauss_points_integrate_polynomials():
    times, weights = gauss(3.0, 5, 4)
    for power in range(8):
        assert weights @ times**power == pytest.approx(3 ** (power + 1) / (power + 1), rel=1e-12)


SMALL = "tanh[metric=ggn,hidden=1]"
CASES = [
    ("tanh[metric=none,mass=1]", "hamilton", False),
    ("tanh[metric=ggn]", "hamilton", True),
    ("tanh[loss=cross_entropy,metric=ggn]", "hamilton", True),
    ("tanh[metric=[[[1,0.5],[0.5,2]]]]", "hamilton", True),
    (SMALL, "retrace", False),
    (SMALL, "growth", False),
    ("tanh[loss=cross_entropy,metric=ggn,hidden=1]", "growth", False),
    ("tanh[metric=none,mass=1]", "second-variation", False),
    ("tanh[loss=cross_entropy,metric=ggn]", "second-variation", False),
    ("tanh[metric=ggn,ascent=true]", "second-variation", False),
    (SMALL, "geodesic-speed", True),
    (SMALL, "geodesic-limit", False),
    ("tanh[metric=identity,hidden=none]", "geodesic-embedding", True),
    ("tanh[loss=cross_entropy,metric=ggn]", "multipliers", False),
    ("implicit[metric=identity]", "multipliers", False),
    ("tanh[metric=[[[1,0.5],[0.5,2]]]]", "potential", False),
    ("implicit", "implicit-gradient", False),
    ("implicit[loss=cross_entropy]", "implicit-gradient", False),
    ("index-1", "index-1-adjoint", False),
    ("rlc", "brayton-moser", False),
    ("rlc[resistance=0]", "circuit-action", True),
    ("rlc[resistance=1.1,seconds=7]", "first-variation", True),
    ("rlc", "saddle", False),
]


SEEDS = [(case, seed) for case in CASES for seed in ((0,) if case[0].endswith("hidden=1]") else (0, 1))]
"""Those of hidden=1 take seconds."""


@pytest.mark.parametrize(("task", "statement", "controlled", "seed"), [(*case, seed) for case, seed in SEEDS])
def test_a_statement_holds_and_its_control_does_not(backend, task, statement, controlled, seed):
    cell = StatementCell(suite="s", task=task, method=statement, backend=backend.name, dtype="float64", seed=seed)
    found = cell.make_method().find(cell.make_task(), backend, seed)
    assert found.error <= cell.make_method().allowed
    assert (found.control is not None) is controlled
    if controlled:
        assert abs(found.control - found.predicted) > 1e4 * cell.make_method().allowed


def test_statements_have_rows_that_say_whether_they_hold(tmp_path):
    done = call("run", "action", "-t", "rlc", "-m", "saddle", "-m", "circuit-action", "-o", str(tmp_path / "run"))
    assert done.exit_code == 0, done.stderr
    rows = json.loads(call("table", str(tmp_path / "run"), "--format", "json").stdout)
    assert [(row["method"], row["holds"]) for row in rows] == [("saddle", "yes"), ("circuit-action", "yes")]
    shown = call("table", str(tmp_path / "run")).stdout
    assert shown.splitlines()[0] == "**rlc, holds yes**"


@pytest.mark.parametrize(
    ("error", "control", "holds"),
    [(1e-13, None, "yes"), (1e-11, None, "no"), (1e-13, 0.5, "yes"), (1e-13, 1e-13, "no"), (1e-11, 0.5, "no")],
)
def test_a_statement_holds_only_with_a_control_that_does_not(error, control, holds):
    cell = StatementCell(suite="s", task="rlc", method="circuit-action", backend="numpy")
    figures = {"measured": error, "predicted": 0.0, "error": error, "allowed": 1e-12, "control": control}
    assert cell.row(figures, [])["holds"] == holds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-t", "rlc", "-m", "retrace"), "retrace is about tanh, not rlc"),
        (("-t", "tanh[ascent=true]", "-m", "growth"), "growth is about descent"),
        (
            ("-t", "tanh[metric=ggn]", "-m", "geodesic-embedding"),
            r"is about one layer with the identity at its outputs",
        ),
        (("-t", "rlc[resistance=3]", "-m", "saddle"), "give less than 2√(L/C) = 2.83"),
        (("-t", "implicit[hidden=none]"), "hidden=None"),
        (("-t", "rlc", "-m", "euler"), "task 'rlc' does not go with the others that are named; ask for it alone"),
        (("-t", "index-1", "-m", "saddle", "-m", "index-1-adjoint"), "method 'saddle' does not go with the others"),
        (("-m", "noether"), "no method is called 'noether'"),
    ],
)
def test_a_statement_about_something_else_is_refused(words, message):
    done = call("run", "action", *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_an_unsuitable_metric_is_refused_before_work():
    done = call("run", "action", "-t", "tanh[metric=[[[1,2],[3,4]]]]")
    assert done.exit_code == 2, done.stdout
    assert TanhFlow(metric=((1.0, 0.0), (0.0, 2.0))).spec == "tanh[loss=squared_error,metric=[[[1,0],[0,2]]]]"
