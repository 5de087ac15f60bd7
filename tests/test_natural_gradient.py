"""Products with the network's metric, conjugate gradients, and natural gradient descent, against dense matrices."""

from itertools import product

import numpy as np
import pytest
import scipy.sparse.linalg

from helpers.training import error_of_training
from rbench.errors import MetricError, SpecError
from rbench.losses import get_loss
from rbench.methods import Batch, NaturalGradient, Problem, Riemannian
from rbench.metrics import flattened, get_output_metric, metric_product, unflattened
from rbench.random import generator
from rbench.solvers import conjugate_gradients
from rbench.testing import oracle
from rbench.testing._examples import BATCH, CONVOLUTIONS, FIXED, NETWORKS, SEED, example
from rbench.testing._method_cases import Training

METRICS = ["identity", "ggn", "ggn_mc", "true_vs_rest", "empirical_fisher", FIXED]
RANK = 2


def product_and_matrix(backend, network, name):
    """The product of an example's metric with vectors, and the matrix, (n, n)."""
    given, loss = example(network), get_loss("cross_entropy")
    y = given.targets[loss.name]
    metric = get_output_metric(name, RANK)
    noise = loss.noise(generator(SEED, "samples"), BATCH, RANK, given.d) if metric.samples else None
    problem = Problem(backend, given.net, loss)
    found = metric_product(problem, given.params, Batch(given.x, y, noise), metric)
    jacobian = np.concatenate(given.jacobians, axis=2)
    metrics = oracle.output_metrics(name, loss.name, given.outputs, y, RANK, SEED)
    return found, oracle.layer_metric(jacobian, metrics, np.zeros(jacobian.shape[2]), "stack")


@pytest.mark.parametrize("name", METRICS, ids=str)
@pytest.mark.parametrize("network", [*NETWORKS, *CONVOLUTIONS])
def test_products_are_those_with_the_dense_metric(backend, network, name):
    found, matrix = product_and_matrix(backend, network, name)
    columns = np.stack([found(unit) for unit in np.eye(len(matrix))], axis=1)
    np.testing.assert_allclose(columns, matrix, rtol=0, atol=1e-13 * np.abs(matrix).max())


def test_vectors_have_the_order_of_flat_blocks(backend):
    given = example("residual images")
    vector = np.arange(sum(layer.n_parameters for layer in given.net.layers), dtype=float)
    weights = unflattened(backend, given.net.layers, vector)
    assert [weight.shape for weight, _ in weights] == [(layer.fan_out, layer.fan_in) for layer in given.net.layers]
    np.testing.assert_array_equal(flattened(backend, weights), vector)


@pytest.fixture
def system(rng):
    """A positive definite matrix with eigenvalues from 0.2 to 10, a vector, a start and a divisor."""
    basis, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    matrix = basis @ np.diag(np.geomspace(0.2, 10, 12)) @ basis.T
    return matrix, rng.normal(size=12), rng.normal(size=12), rng.uniform(0.5, 2, 12)


@pytest.mark.parametrize("tolerance", [0.0, 0.2])
@pytest.mark.parametrize("preconditioned", [False, True])
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("iterations", [1, 3, 8])
def test_iterates_are_scipys(backend, system, iterations, started, preconditioned, tolerance):
    matrix, rhs, start, divisor = system
    start, divisor = start if started else None, divisor if preconditioned else np.ones(12)
    options = {"iterations": iterations, "tolerance": tolerance, "start": start, "divisor": divisor}
    found = conjugate_gradients(backend, lambda v: matrix @ v, rhs, **options)
    expected, _ = scipy.sparse.linalg.cg(
        matrix, rhs, x0=start, rtol=tolerance, maxiter=iterations, M=np.diag(1 / divisor)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_an_iterate_that_is_near_enough_is_kept(backend, system):
    matrix, rhs, *_ = system
    few, many = (
        conjugate_gradients(backend, lambda v: matrix @ v, rhs, iterations=count, tolerance=0.3) for count in (8, 100)
    )
    np.testing.assert_array_equal(few, many)
    assert np.linalg.norm(rhs - matrix @ few) <= 0.3 * np.linalg.norm(rhs)
    shorter = conjugate_gradients(backend, lambda v: matrix @ v, rhs, iterations=1, tolerance=0.3)
    assert np.linalg.norm(rhs - matrix @ shorter) > 0.3 * np.linalg.norm(rhs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_after_convergence_the_solution_stands(backend, single, system, dtype):
    at = backend if dtype == "float64" else single
    matrix, rhs = (at.asarray(array) for array in system[:2])
    found = conjugate_gradients(at, lambda v: matrix @ v, rhs, iterations=500, tolerance=0.0)
    np.testing.assert_allclose(found, np.linalg.solve(*system[:2]), rtol=0, atol=1e4 * at.epsilon)


def test_zero_is_solved_by_zero_and_what_is_not_finite_is_seen(backend, system):
    matrix, rhs, *_ = system
    options = {"iterations": 5, "tolerance": 1e-3}
    assert not np.any(conjugate_gradients(backend, lambda v: matrix @ v, 0 * rhs, **options))
    assert np.all(np.isnan(conjugate_gradients(backend, lambda v: np.nan * v, rhs, **options)))
    with np.errstate(invalid="ignore"):
        assert np.all(np.isnan(conjugate_gradients(backend, lambda v: np.inf * v, rhs, iterations=1, tolerance=1e-3)))
    assert np.all(np.isnan(conjugate_gradients(backend, lambda v: matrix @ v, np.nan * rhs, **options)))


def test_a_preconditioner_that_is_the_matrix_takes_one_iteration(backend, rng):
    diagonal, rhs = rng.uniform(0.1, 10, 9), rng.normal(size=9)
    found = conjugate_gradients(backend, lambda v: diagonal * v, rhs, iterations=1, tolerance=0.0, divisor=diagonal)
    np.testing.assert_allclose(found, rhs / diagonal, rtol=1e-14)


COMMON = {"lr": 0.1, "rank": RANK, "damping": 0.3}
PARTS = {
    "plain": {},
    "part of the batch": {"metric_batch": 2, "kl_clip": 0.01},
    "warm": {"warm_start": 0.9, "weight_decay": 0.1},
    "preconditioned": {"precondition": 0.75, "tolerance": 0.1},
    "warm and preconditioned": {"precondition": 1.0, "warm_start": 1.0, "momentum": 0.0},
    "fitted": {"fit": "layers", "trust": 0.05},
    "fitted, part of the batch": {"fit": "scalar", "trust": 0.05, "metric_batch": 0.5, "warm_start": 0.5},
}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("iterations", [1, 5])
@pytest.mark.parametrize(("network", "metric"), [*product(["no bias", "residual"], METRICS[:5])], ids=str)
def test_steps_are_those_of_scipys_conjugate_gradients(backend, network, metric, iterations, parts):
    method = NaturalGradient(output_metric=metric, iterations=iterations, **COMMON | {"tolerance": 0} | PARTS[parts])
    assert error_of_training(backend, network, method) < 1e-10


@pytest.mark.parametrize("parts", ["plain", "part of the batch", "warm", "fitted"])
@pytest.mark.parametrize("network", ["strided images", "largest pixels"])
def test_positions_take_part(backend, network, parts):
    method = NaturalGradient(output_metric="ggn", iterations=4, **COMMON | PARTS[parts])
    assert error_of_training(backend, network, method) < 1e-10


@pytest.mark.parametrize("settings", [{}, {"refresh": 2}, {"metric_batch": 2, "kl_clip": 0.01}, {"fit": "layers"}])
def test_woodbury_is_the_dense_solve(backend, settings):
    settings = {**COMMON, "trust": 0.05, **settings}
    assert error_of_training(backend, "residual", NaturalGradient(solve="woodbury", **settings)) < 1e-11


def steps(backend, method):
    return Training(example("residual"), "cross_entropy", method, 5).step_by_step(backend)


@pytest.mark.parametrize("settings", [{}, {"metric_batch": 2}, {"fit": "layers", "trust": 0.05}, {"kl_clip": 1e-3}])
@pytest.mark.parametrize("metric", ["ggn", "ggn_mc", "empirical_fisher"])
def test_converged_conjugate_gradients_are_woodburys_solution(backend, metric, settings):
    settings = {**COMMON, **settings, "output_metric": metric}
    by_cg, by_woodbury = (
        steps(backend, NaturalGradient(**way, **settings))
        for way in ({"iterations": 100, "tolerance": 0}, {"solve": "woodbury"})
    )
    del settings["damping"]
    jointly = steps(backend, Riemannian(coupling="network", mass=COMMON["damping"], **settings))
    for one, other, third in zip(by_cg, by_woodbury, jointly, strict=True):
        np.testing.assert_array_equal(other, third)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.abs(other).max())


def test_few_iterations_are_not_enough_there(backend):
    """So the agreement above says something."""
    (few, *_), (many, *_) = (
        steps(backend, NaturalGradient(iterations=count, tolerance=0, **COMMON)) for count in (2, 100)
    )
    assert np.abs(few - many).max() > 1e-4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"refresh": 2}, "refresh=2: conjugate gradients have no factored metric to keep; .*solve=woodbury"),
        ({"solve": "woodbury", "iterations": 3}, "iterations=3 is a setting of solve=cg: leave it out"),
        ({"solve": "woodbury", "tolerance": 0}, "tolerance=0.0 is a setting of solve=cg"),
        ({"solve": "woodbury", "warm_start": 0.9}, "warm_start=0.9 is a setting of solve=cg"),
        ({"solve": "woodbury", "precondition": 0.75}, "precondition=0.75 is a setting of solve=cg"),
        ({"solve": "lu"}, "solve='lu'"),
        ({"iterations": 0}, "iterations=0: .*greater than or equal to 1"),
        ({"warm_start": 1.1}, "warm_start=1.1"),
        ({"output_metric": "ggm"}, "ggm"),
        ({"damping": 0.0}, "damping=0"),
        ({"fit": "layers", "kl_clip": 0.1}, "fit=layers finds the momentum and bounds the step: leave out"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, words):
    with pytest.raises(SpecError, match=words):
        NaturalGradient(**settings)


def test_a_metric_without_its_loss_is_refused(backend):
    problem = Problem(backend, example("residual").net, get_loss("squared_error"))
    with pytest.raises(MetricError, match="'true_vs_rest' needs class labels"):
        NaturalGradient(output_metric="true_vs_rest").check(problem)
