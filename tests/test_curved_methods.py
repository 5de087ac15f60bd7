"""Every combination of mass, coupling, rows, fit and refresh against the dense reference of whole trajectories."""

from itertools import product

import numpy as np
import pytest

from helpers.training import error_of_training
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.methods import KFAC, Naive, Riemannian
from rbench.methods.descent import least_rate
from rbench.metrics import Batch, FactoredMass, Problem, get_output_metric, pull_metric
from rbench.solvers import LayerSize, NetworkSolver
from rbench.solvers.fit import solve_fit
from rbench.testing._examples import example
from rbench.testing._method_cases import Training
from rbench.testing.oracle import Evaluation

COMMON = {"lr": 0.1, "rank": 2, "damping": 0.3, "trust": 0.05, "weight_decay": 0.01}
FITS = ("none", "scalar", "layers")
SCHEDULES = {
    "each step": {},
    "refreshed": {"refresh": 2, "factor_refresh": 2},
    "part of the batch": {"metric_batch": 2, "factor_refresh": 2},
    "part, refreshed": {"metric_batch": 2, "refresh": 2, "factor_refresh": 4},
    "rescaled rows": {"output_metric": "true_vs_rest"},
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("mass", "coupling", "rows", "fit"),
    [
        one
        for one in product(("kronecker", "diagonal", 0.5), ("layer", "network"), (True, False, 0.3), FITS)
        if one[1:3] != ("network", False)
    ],
)
def test_steps_are_those_of_the_dense_metric(backend, mass, coupling, rows, fit, schedule):
    method = Riemannian(mass=mass, coupling=coupling, rows=rows, fit=fit, **COMMON, **SCHEDULES[schedule])
    assert error_of_training(backend, "no bias", method) < 1e-11


@pytest.mark.parametrize("network", ["residual", "strided images"])
@pytest.mark.parametrize("schedule", ["each step", "part, refreshed"])
@pytest.mark.parametrize(("coupling", "mass", "fit"), [*product(("layer", "network"), ("kronecker", 0.5), FITS[::2])])
def test_biases_branches_and_positions_take_part(backend, network, coupling, mass, fit, schedule):
    method = Riemannian(mass=mass, coupling=coupling, fit=fit, **COMMON, **SCHEDULES[schedule])
    assert error_of_training(backend, network, method) < 1e-11


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("settings", [{}, {"refresh": 2}, {"metric_batch": 2}])
@pytest.mark.parametrize("coupling", ["layer", "network"])
def test_the_mean_treatment_has_the_means_rows(backend, coupling, settings, fit):
    settings = {**COMMON, **settings, "batch": "mean", "output_metric": "ggn", "coupling": coupling, "fit": fit}
    assert error_of_training(backend, "no bias", Riemannian(mass=0.5, **settings)) < 1e-11


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"refresh": 2},
        {"metric_batch": 2},
        {"metric_batch": 2, "refresh": 3},
        {"metric_batch": 2, "decay": 0.0},
        {"metric_batch": 0.4},
        {"decay": 0.0},
        {"damping_split": "eigen"},
        {"trust": "loss", "damping": 1e-4, "fit_damping": 1e-4},
    ],
)
def test_kfac_is_fitted_too(backend, settings, fit):
    assert error_of_training(backend, "no bias", KFAC(fit=fit, **COMMON | settings)) < 1e-11


def test_the_batchs_loss_bounds_a_step(backend):
    settings = {**COMMON, "fit": "layers", "damping": 1e-4, "fit_damping": 1e-4}
    bound, free = (
        Training(example("no bias"), "cross_entropy", KFAC(**settings | {"trust": trust}), 5).step_by_step(backend)
        for trust in ("loss", 1e9)
    )
    assert np.any(bound[-1] != free[-1])


def test_kfac_is_the_kronecker_mass_without_rows(backend):
    settings = {**COMMON, "fit": "layers"}
    without_rows = Riemannian(mass="kronecker", rows=False, factor_refresh=2, **settings)
    steps = [
        Training(example("residual"), "cross_entropy", method, 5).step_by_step(backend)
        for method in (without_rows, KFAC(refresh=2, **settings))
    ]
    for one, other in zip(*steps, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


def test_naive_inversion_serves_every_mass(backend):
    for mass in ("kronecker", "diagonal"):
        assert error_of_training(backend, "no bias", Naive(mass=mass, fit="layers", **COMMON)) < 1e-11


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("coupling", ["layer", "network"])
@pytest.mark.parametrize("network", ["residual", "strided images", "jets"])
def test_spring_and_a_line_search(backend, network, coupling, schedule):
    settings = {**COMMON, **SCHEDULES[schedule], "lr": 0.5, "mass": 0.5, "momentum": 0.7, "coupling": coupling}
    for own in ({"spring": True}, {"line_search": 5}, {"spring": True, "line_search": 5, "kl_clip": 0.1}):
        assert error_of_training(backend, network, Riemannian(**settings, **own)) < 1e-11


def test_other_methods_search_too(backend):
    for method in (KFAC(line_search=4, **COMMON), Naive(line_search=4, spring=True, mass=0.5, **COMMON)):
        assert error_of_training(backend, "no bias", method) < 1e-11


def test_a_line_search_leaves_out_rates_without_a_loss(backend):
    given = example("one layer")
    problem = Problem(backend, given.net, get_loss("squared_error"))
    batch = Batch(given.x[0], given.targets["squared_error"])
    tried = []

    def moved(rate):
        tried.append(rate)
        weight = np.full((3, 4), {8.0: np.nan, 4.0: np.inf, 1.0: 0.0}.get(rate, 1e3))
        return ({"weight": weight, "bias": np.zeros(3)},)

    with np.errstate(invalid="ignore", over="ignore"):
        assert least_rate(problem, batch, moved, 8.0, 4) == 1.0
    assert tried == [8.0, 4.0, 2.0, 1.0, 0.5]


def test_spring_keeps_what_the_rows_do_not_see(backend):
    """Δ_t is μ Δ_(t−1) on the null space of V, whatever the gradient; there G is M, and g is zero."""
    method = Riemannian(lr=0.3, output_metric="ggn", mass=1e-3, momentum=0.8, spring=True, coupling="network")
    training = Training(example("wide"), "squared_error", method, 3)
    problem, params, state = training.start(backend)
    for t in range(3):
        batch = training.batch(problem, t, 0)
        last, at = np.concatenate([np.ravel(part) for pair in state[0] for part in pair]), params
        result = method.step(problem, params, state, batch, method.scalars(t, 3), phase=True)
        params, state = result.params, result.state
        delta = np.concatenate([np.ravel(part) for pair in state[0] for part in pair])
        rows = np.concatenate(Evaluation(training.given.net, at, (batch.x,)).jacobians, axis=2)
        rows = rows.reshape(-1, rows.shape[2])
        unseen = np.eye(rows.shape[1]) - np.linalg.pinv(rows) @ rows
        assert np.linalg.matrix_rank(unseen) > 100
        np.testing.assert_allclose(unseen @ delta, 0.8 * unseen @ last, atol=1e-11 * np.abs(delta).max())
        assert t == 0 or np.linalg.norm(unseen @ last) > 1e-3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fit": "layers", "line_search": 3}, "fit=layers finds .* leave out momentum, kl_clip and line_search"),
        ({"line_search": -1}, "line_search=-1"),
        ({"spring": True, "mass": "kronecker"}, "spring=true takes a mass that is fixed, rows and momentum"),
        ({"spring": True, "rows": False}, "spring=true takes"),
        ({"spring": True, "momentum": 0}, "spring=true takes"),
        ({"spring": True, "fit": "scalar"}, "spring=true .* goes without a fit"),
        ({"fit": "layers", "kl_clip": 0.1}, "fit=layers finds the momentum and bounds the step: leave out"),
        ({"fit": "scalar", "momentum": 0.5}, "fit=scalar finds the momentum"),
        ({"fit": "all"}, "fit='all'"),
        ({"mass": "kroneker"}, "mass='kroneker'"),
        ({"mass": "diagonal", "batch": "mean"}, "mass=diagonal averages over data: it goes with batch=stack"),
        ({"mass": "kronecker", "refresh": 2, "factor_refresh": 3}, "factor_refresh=3 is no multiple of refresh=2"),
        ({"rows": 0.0}, "rows=0.0: give a positive weight of the rows, or rows=false"),
        ({"coupling": "network", "solver": "dense"}, "coupling='network' shares one capacitance"),
        ({"coupling": "pair"}, "coupling='pair'"),
        ({"trust": 0}, "trust=0"),
        ({"trust": "los"}, "trust='los'"),
        ({"metric_batch": 1.5}, "metric_batch=1.5"),
        ({"metric_batch": 1.0}, "metric_batch=1.0"),
        ({"fit_damping": True}, "fit_damping=True: give a number"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, words):
    with pytest.raises(SpecError, match=words):
        Riemannian(**settings)


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (KFAC(), ["lr", "damping", "kl_clip"]),
        (KFAC(fit="scalar"), ["damping", "fit_damping"]),
        (Riemannian(), ["lr", "mass", "kl_clip"]),
        (Riemannian(mass="kronecker"), ["lr", "damping", "kl_clip"]),
        (Riemannian(fit="layers"), ["mass", "fit_damping"]),
        (Riemannian(mass="diagonal", fit="layers"), ["damping", "fit_damping"]),
    ],
)
def test_the_settings_that_matter_are_searched_whatever_the_mass_and_the_fit(method, names):
    assert list(method.searched) == names


def test_a_model_without_slope_or_length_has_no_step(backend):
    xp = backend.xp
    zero = backend.asarray(np.zeros(2))
    coefficients, health = solve_fit(backend, backend.eye(2) * 0, zero, xp.sum(zero))
    assert np.all(backend.to_numpy(coefficients) == 0)
    assert np.isfinite(backend.to_numpy(health))


@pytest.mark.parametrize("solver", ["gram", "rows", "dense"])
@pytest.mark.parametrize("network", ["no bias", "residual", "strided images"])
def test_what_is_kept_for_a_kronecker_mass_is_predicted(backend, network, solver):
    given = example(network)
    problem = Problem(backend, given.net, get_loss("cross_entropy"))
    size = len(given.x[0])
    batch = Batch(tuple(map(backend.asarray, given.x)), backend.labels(np.zeros(size, int)))
    _, layers = pull_metric(problem, given.params, batch, get_output_metric("ggn"), "stack")
    masses = [FactoredMass(backend.eye(layer.fan_out), backend.eye(layer.width)) for layer in layers]
    found = NetworkSolver(solver).factor(backend, layers, masses)
    predicted = NetworkSolver(solver).costs(backend, [LayerSize.of(layer) for layer in layers], masses)
    for kept, cost in zip(found, predicted, strict=True):
        assert sum(array.size for array in (*kept[:3], *kept.by_mass)) <= cost.kept
