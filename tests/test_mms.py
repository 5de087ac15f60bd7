"""Minimizing movements: energies, resolvents, the Gauss-Newton direction against a dense one, bounds, and the suite."""

import json

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from helpers.command import call
from rbench import Linear, Tanh, get_backend
from rbench.errors import DivergedError
from rbench.experiment import Limits, Outcome
from rbench.theory.flow import flat, shaped
from rbench.theory.mms.cells import Mms
from rbench.theory.mms.energies import Energy, norm
from rbench.theory.mms.gauss_newton import GaussNewton
from rbench.theory.mms.movement import Scheme, Subproblem
from rbench.theory.mms.movements import Movements
from rbench.theory.mms.solvers import LBFGS, AdamSolver, GradientDescent
from rbench.theory.mms.tasks import NonlinearRegression

ENERGIES = {
    "quadratic": (Energy("quadratic"), lambda u, y: (u - y) ** 2 / 2),
    "ridge": (Energy("quadratic", 0.3), lambda u, y: (u - y) ** 2 / 2 + 0.15 * u**2),
    "logistic": (Energy("logistic", 0.5), lambda u, y: np.logaddexp(0, u) - y * u + u**2 / 4),
    "pseudo_huber": (Energy("pseudo_huber"), lambda u, y: np.hypot(1, u - y) - 1),
    "log_cosh": (Energy("log_cosh"), lambda u, y: np.log(np.cosh(u - y))),
}
SOLVERS = {
    "network": GaussNewton(),
    "layer": GaussNewton(scope="layer"),
    "sampled": GaussNewton(metric="ggn_mc", rank=4),
    "lbfgs": LBFGS(),
    "adam": AdamSolver(lr=0.01),
    "gradient_descent": GradientDescent(lr=0.1),
}
TAU = 0.7


@pytest.fixture(params=ENERGIES)
def energy(request):
    return ENERGIES[request.param]


@pytest.fixture
def values(rng):
    """Values, and targets from 0 to 1."""
    return 3 * rng.normal(size=(40, 2)), rng.random((40, 2))


def test_an_energys_derivatives_are_those_of_its_formula(energy, values):
    own, formula = energy
    u, y = values
    h = 1e-4  # rounding leaves ε|e|/h², some 1e-7, of the second difference
    np.testing.assert_allclose(own.value(np, u, y), formula(u, y), rtol=1e-12, atol=1e-14)
    ahead, here, behind = (formula(u + side * h, y) for side in (1, 0, -1))
    np.testing.assert_allclose(own.slope(np, u, y), (ahead - behind) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(own.curvature(np, u, y), (ahead - 2 * here + behind) / h**2, atol=1e-5)


def test_an_energy_is_finite_far_away(energy):
    u, y = np.array([[-800.0, 800.0]]), np.array([[0.2, 0.9]])
    for array in (energy[0].value(np, u, y), energy[0].slope(np, u, y), energy[0].curvature(np, u, y)):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("tau", [0.1, 1.0, 100.0])
def test_the_resolvent_minimises_the_movement_at_every_point(energy, values, tau):
    own, formula = energy
    anchor, y = values
    resolvent = own.resolvent(anchor, y, tau)
    for at in np.ndindex(3, 2):
        a, target = anchor[at], y[at]

        def moved(v, a=a, target=target):
            return (v - a) ** 2 / (2 * tau) + formula(v, target)

        found = scipy.optimize.minimize_scalar(moved, bracket=(a - 1, a + 1), tol=1e-12)
        assert resolvent[at] == pytest.approx(found.x, abs=1e-6)
        assert moved(resolvent[at]) <= found.fun + 1e-12
    np.testing.assert_allclose(resolvent - anchor + tau * own.slope(np, resolvent, y), 0, atol=1e-12 * (1 + tau))


def test_an_anchor_at_the_minimiser_stays(energy, values):
    own, _ = energy
    minimiser = own.minimiser(values[1])
    np.testing.assert_allclose(own.slope(np, minimiser, values[1]), 0, atol=1e-12)
    np.testing.assert_allclose(own.resolvent(minimiser, values[1], TAU), minimiser, atol=1e-12)


def test_minimisers_have_closed_forms():
    y = np.array([[0.2], [0.7]])
    np.testing.assert_allclose(Energy("logistic").minimiser(y), scipy.special.logit(y), rtol=1e-9)
    np.testing.assert_allclose(Energy("quadratic", 0.5).minimiser(y), y / 1.5, rtol=1e-12)
    for name in ("quadratic", "pseudo_huber", "log_cosh"):
        np.testing.assert_allclose(Energy(name).minimiser(y), y, rtol=1e-9)


def test_the_exact_quadratic_trajectory_is_geometric(values):
    u, y = values
    start = u
    for _ in range(5):
        u = Energy("quadratic").resolvent(u, y, TAU)
    np.testing.assert_allclose(u, y + (1 + TAU) ** -5.0 * (start - y), rtol=1e-12)


def outer_step(backend, energy, rng, net, params):
    """An outer step at six points, and the outputs' Jacobian by central differences."""
    x = rng.normal(size=(6, 2))
    y = rng.random((6, 2))
    w = flat(backend, params)

    def outputs(w):
        return net.apply(backend, shaped(backend, net, w), x)

    anchor = outputs(w) + 0.1 * rng.normal(size=(6, 2))
    jacobian = np.stack([(outputs(w + 1e-6 * e) - outputs(w - 1e-6 * e)) / 2e-6 for e in np.eye(len(w))], axis=2)
    return Subproblem(x, y, anchor, energy.resolvent(anchor, y, TAU)), w, outputs(w), jacobian


@pytest.mark.parametrize("scope", ["network", "layer"])
def test_a_gauss_newton_step_is_the_dense_one(backend, energy, rng, make_params, scope):
    own, _ = energy
    net = Linear(2, 4) >> Tanh() >> Linear(4, 2)
    params = make_params(net, rng)
    sub, w, u, jacobian = outer_step(backend, own, rng, net, params)
    solver = GaussNewton(scope=scope, damping=0.05)
    solve = solver.prepare(Scheme(backend, net, own, TAU), 0)
    made = solve(params, sub, 0.0, 1.0, 1)

    q = 1 / TAU + own.curvature(np, u, sub.y)
    gradient = np.einsum("bin,bi->n", jacobian, (u - sub.anchor) / TAU + own.slope(np, u, sub.y)) / 6
    metric = np.einsum("bin,bi,bim->nm", jacobian, q, jacobian) / 6
    rate = 1.0
    if scope == "layer":
        metric *= scipy.linalg.block_diag(*[np.ones((layer.n_parameters,) * 2) for layer in net.layers])
        rate = 0.5
    direction = np.linalg.solve(metric + 0.05 * q.mean() * np.eye(len(w)), gradient)
    np.testing.assert_allclose(flat(backend, made.params), w - rate * direction, atol=1e-7)
    assert made.error == pytest.approx(norm(net.apply(backend, made.params, sub.x) - sub.resolvent), rel=1e-12)


def test_a_step_that_raises_f_is_not_made(backend, rng, make_params):
    """Nearly undamped, far from the anchor, on a network that is not linear, the first steps are refused."""
    own, net = Energy("quadratic"), Linear(2, 4) >> Tanh() >> Linear(4, 2)
    params = make_params(net, rng)
    scheme = Scheme(backend, net, own, TAU)
    sub = outer_step(backend, own, rng, net, params)[0]
    far = sub.anchor + 30 * rng.normal(size=(6, 2))
    sub = sub._replace(anchor=far, resolvent=own.resolvent(far, sub.y, TAU))
    solve = GaussNewton(damping=1e-6).prepare(scheme, 0)
    values = [float(scheme.look(solve(params, sub, 0.0, 1.0, most).params, sub).value) for most in range(16)]
    assert values[1] == values[0]
    assert values[-1] < values[0]
    assert values == sorted(values, reverse=True)


def test_lbfgs_returns_its_best_evaluation(backend):
    """Its line search evaluates F where it is larger than before: with more evaluations the result is never worse."""
    movements = Movements(backend, NonlinearRegression(), LBFGS(), 0)
    solve = LBFGS().prepare(movements.scheme, 0)
    sub, *_ = movements.subproblem(movements.start, 0)
    found = [solve(movements.start, sub, 0.0, 1.0, most) for most in range(25)]
    looks = [movements.scheme.look(one.params, sub) for one in found]
    values = [float(look.value) for look in looks]
    assert values == sorted(values, reverse=True)
    assert values[2] == values[1] == values[0]  # the first step is too long
    assert [one.iterations for one in found] == list(range(25))
    np.testing.assert_allclose([one.error for one in found], [float(look.error) for look in looks], rtol=1e-12)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_ends_at_delta_or_at_its_limit(backend, name):
    task = NonlinearRegression(hidden=(8,), count=16)
    movements = Movements(backend, task, SOLVERS[name], 0)
    solve = SOLVERS[name].prepare(movements.scheme, 0)
    sub, _, resolvent = movements.subproblem(movements.start, 0)
    before = norm(movements.outputs(movements.start, sub.x) - resolvent)
    assert solve(movements.start, sub, before, 0.01, 5)[1:] == (0, pytest.approx(before))
    half = solve(movements.start, sub, before / 2, SOLVERS[name].rates[0], 5000)
    assert half.error <= before / 2
    assert norm(movements.outputs(half.params, sub.x) - resolvent) == pytest.approx(half.error, rel=1e-12)
    assert solve(movements.start, sub, before / 2, SOLVERS[name].rates[0], half.iterations - 1).error > before / 2
    assert solve(movements.start, sub, 0.0, SOLVERS[name].rates[0], 3).iterations == 3


def run(task, method, delta, backend):
    cell = Mms(suite="mms", task=task, method=method, backend="numpy", dtype="float64", delta=delta)
    outcome = Outcome()
    cell.run(backend, outcome, lambda done, total: None, Limits())
    return outcome


@pytest.mark.parametrize(
    "task",
    [
        "nonlinear-regression[target=smooth]",
        "nonlinear-regression[target=two_outputs]",
        "nonlinear-regression[target=smooth,energy=logistic,ridge=0.5]",
        "nonlinear-regression[target=step,energy=pseudo_huber,tau=3]",
        "nonlinear-regression[target=smooth,energy=log_cosh,tau=0.5]",
    ],
)
def test_the_bounds_hold_where_delta_was_reached(backend, task):
    distances = []
    for delta in (1e-1, 1e-2, 1e-3):
        figures = run(task, "gauss_newton", delta, backend).figures
        assert figures["reached"] == 1
        assert figures["local_error"] <= delta
        assert figures["trajectory_error"] <= figures["bound_trajectory"]
        assert figures["final_distance"] <= figures["bound_final"]
        assert figures["certificate_ratio"] >= 1 - 1e-12
        distances.append(figures["final_distance"])
    assert 0.85 <= np.polyfit([-1, -2, -3], np.log10(distances), 1)[0] <= 1.15


def test_a_quadratic_energys_certificate_is_the_local_error(backend):
    figures = run("nonlinear-regression[target=smooth]", "lbfgs", 1e-2, backend).figures
    assert figures["certificate"] == pytest.approx(figures["local_error"], rel=1e-9)
    assert figures["convexity"] == 1
    assert figures["bound_trajectory"] == pytest.approx(0.02)


def test_adverse_errors_attain_the_bound():
    """Errors δ in one direction in every step: u^k is off by δ Σ_j (1 + τλ)^(−j), which tends to the bound."""
    u = exact = np.ones((4, 1))
    energy, y, delta = Energy("quadratic"), np.zeros((4, 1)), 0.01
    for _ in range(60):
        u = energy.resolvent(u, y, TAU) + delta
        exact = energy.resolvent(exact, y, TAU)
    assert norm(u - exact) == pytest.approx(delta * (1 + TAU) / TAU, rel=1e-9)


def test_gauss_newton_takes_fifty_times_fewer_iterations_than_adam(backend):
    task = "nonlinear-regression[target=smooth]"
    ours, adam = (run(task, method, 1e-2, backend).figures for method in ("gauss_newton", "adam"))
    assert ours["reached"] == adam["reached"] == 1
    assert adam["inner_iterations"] >= 50 * ours["inner_iterations"]


def test_first_order_methods_have_equally_many_tries(backend):
    task = "nonlinear-regression[outer=2]"
    for method, highest in (("adam", 0.1), ("gradient_descent", 1.0)):
        figures = run(task, method, 0.1, backend).figures
        assert figures["tries"] == 5
        assert figures["tries_iterations"] > figures["inner_iterations"]
        assert 0.01 * highest <= figures["learning_rate"] * 1.0001 <= highest * 1.001
    assert run(task, "adam[lr=0.01]", 0.1, backend).figures["tries"] == 0


def test_the_best_of_the_tries_is_used(backend):
    task = "nonlinear-regression[outer=4]"
    found = run(task, "adam", 0.1, backend).figures
    each = [run(task, f"adam[lr={lr!r}]", 0.1, backend).figures for lr in AdamSolver().rates]
    best = min((one["inner_iterations"], one["learning_rate"]) for one in each if one["reached"] == 1)
    assert (found["inner_iterations"], found["learning_rate"]) == best


def test_a_budget_ends_all_outer_steps(backend):
    outcome = run("nonlinear-regression[outer=4]", "adam[lr=0.01,cap=20,budget=50]", 1e-6, backend)
    assert [point["iterations"] for point in outcome.history] == [20, 20, 10, 0]
    assert outcome.figures["reached"] == 0
    assert outcome.figures["bound_trajectory"] is None


def test_a_rate_that_is_too_large_diverges(backend):
    with pytest.raises(DivergedError, match="at the rate 50"):
        run("nonlinear-regression", "gradient_descent[lr=50]", 1e-2, backend)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_other_libraries_take_the_same_iterations(name, backend):
    pytest.importorskip(name)
    other = get_backend(name, dtype="float64")
    task = "nonlinear-regression[target=two_outputs,outer=3]"
    for method in ("gauss_newton", "lbfgs", "adam[lr=0.01,cap=50]"):
        with other.inference():
            there = run(task, method, 0.3, other).figures
        here = run(task, method, 0.3, backend).figures
        assert there["inner_iterations"] == here["inner_iterations"]
        assert there["final_distance"] == pytest.approx(here["final_distance"], rel=1e-6)


def test_the_suite_has_a_row_for_each_delta(tmp_path):
    task = "nonlinear-regression[target=smooth,outer=5]"
    done = call("run", "mms", "-t", task, "-m", "gauss_newton", "-o", str(tmp_path / "run"))
    assert done.exit_code == 0, done.stderr
    rows = json.loads(call("table", str(tmp_path / "run"), "--format", "json").stdout)
    assert [row["delta"] for row in rows] == [0.1, 0.01, 0.001]
    assert all(row["suite"] == "mms" and row["dtype"] == "float64" and row["reached"] == 1 for row in rows)
    assert all(row["trajectory_error"] <= row["bound_trajectory"] for row in rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "newton"), "no method is called"),
        (("-m", "gauss_newton[scope=all]"), "'network' or 'layer'"),
        (("-m", "adam[tries=1]"), "tries=1"),
        (("-t", "regression"), "no task is called"),
        (("-t", "nonlinear-regression[target=rough]"), "rough"),
        (("-t", "nonlinear-regression[tau=0]"), "tau=0"),
        (("-t", "nonlinear-regression[energy=huber]"), "huber"),
    ],
)
def test_what_the_suite_does_not_have_is_refused(words, message):
    done = call("run", "mms", *words)
    assert done.exit_code == 2
    assert message in done.stderr
