"""Every solver against the dense oracle, its limits and normalisation, its failures, and the planner."""

import tracemalloc

import numpy as np
import pytest

import rbench
from rbench import Linear, Tanh
from rbench.errors import CapacitanceError, SolverError
from rbench.losses import get_loss
from rbench.metrics import Batch, DiagonalMass, KroneckerMass, Problem, get_output_metric, layer_masses, pull_metric
from rbench.solvers import SOLVERS, LayerSize, NetworkSolver, check_health, choose_form, gathered
from rbench.solvers.base import health_of, solve_cholesky
from rbench.testing import oracle
from rbench.testing._networks import flat, jacobians

FIXED = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]])
METRICS = {
    "identity": ("identity", 1),
    "ggn": ("ggn", 1),
    "ggn_mc rank 1": ("ggn_mc", 1),
    "ggn_mc rank 3": ("ggn_mc", 3),
    "true_vs_rest": ("true_vs_rest", 1),
    "empirical_fisher": ("empirical_fisher", 1),
    "fixed": (FIXED, 1),
}
KRONECKER, FULL = ("scalar", "list", "pair"), ("full", "flat", "mapping")
WITH_FULL = [name for name in SOLVERS if name != "gram"]
SEED = 11


@pytest.fixture(params=list(METRICS))
def metric(request, loss):
    if request.param == "true_vs_rest" and loss != "cross_entropy":
        pytest.skip("true_vs_rest needs class labels")
    return METRICS[request.param]


@pytest.fixture(params=["stack", "mean"])
def treatment(request):
    return request.param


@pytest.fixture
def given(network, loss):
    """The arguments by position, of every public function."""
    (x,) = network.x
    return network.net, network.params, x, network.targets[loss]


@pytest.fixture
def options(loss, metric, treatment, backend):
    """The arguments by name, but for the mass and the solver."""
    name, rank = metric
    chosen = {"loss": loss, "output_metric": name, "rank": rank, "batch": treatment}
    return {**chosen, "seed": SEED, "backend": backend}


def relative(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


def shapes(blocks):
    return [{name: array.shape for name, array in block.items()} for block in blocks]


def furthest(blocks, others):
    """Largest relative error over layers, blocks or flat."""
    flats = [[flat(b) if isinstance(b, dict) else b for b in side] for side in (blocks, others)]
    return max(relative(*pair) for pair in zip(*flats, strict=True))


def test_loss_gradient(network, given, loss, backend):
    blocks = rbench.loss_gradient(*given, loss=loss, backend=backend)
    assert shapes(blocks) == shapes(network.params)
    assert furthest(blocks, network.loss_gradients(loss)) <= 1e-12


@pytest.mark.parametrize("kind", [*KRONECKER, *FULL])
def test_every_solver_agrees_with_the_oracle(kind, network, given, options, rng):
    mass = oracle.draw_mass(kind, network.net.layers, rng)
    diagonals = oracle.mass_diagonals(mass, network.net.layers)
    metric, loss, batch = options["output_metric"], options["loss"], options["batch"]
    outputs = oracle.output_metrics(metric, loss, network.outputs, given[3], options["rank"], SEED)
    pairs = list(zip(network.jacobians, diagonals, strict=True))
    metrics = [oracle.layer_metric(jacobian, outputs, diagonal, batch) for jacobian, diagonal in pairs]
    gradients = network.loss_gradients(loss)
    directions = [np.linalg.solve(g, gradient) for g, gradient in zip(metrics, gradients, strict=True)]
    found = rbench.layer_metrics(*given, **options, mass=mass)
    assert {array.dtype for array in found} == {np.dtype(np.float64)}
    assert furthest(found, metrics) <= 1e-12
    for solver in ("auto", *(WITH_FULL if kind in FULL else SOLVERS)):
        blocks = rbench.riemannian_gradient(*given, **options, mass=mass, solver=solver)
        assert shapes(blocks) == shapes(network.params)
        assert furthest(blocks, directions) <= 1e-10, solver


def test_float32_agrees_with_float64(given, options, single):
    net, params, x, y = given
    exact = rbench.riemannian_gradient(net, params, x, y, **options)
    params = tuple({name: array.astype("f4") for name, array in block.items()} for block in params)
    for solver in SOLVERS:
        rounded = rbench.riemannian_gradient(net, params, x, y, **{**options, "backend": single}, solver=solver)
        assert {array.dtype for block in rounded for array in block.values()} == {np.dtype(np.float32)}
        assert furthest(rounded, exact) <= 1e-3, solver


def test_slope_is_the_gradient_along_the_direction(given, options, backend):
    net, params, x, y = given
    metric, loss = get_output_metric(options["output_metric"], options["rank"]), get_loss(options["loss"])
    noise = loss.noise(np.random.default_rng(0), len(x), metric.samples, 3) if metric.samples else None
    value, pulled = pull_metric(Problem(backend, net, loss), params, Batch(x, y, noise), metric, options["batch"])
    values = [loss.dense.value(*pair) for pair in zip(net.apply(backend, params, x), y, strict=True)]
    assert value == pytest.approx(np.mean(values), rel=1e-12)
    gradients = rbench.loss_gradient(*given, loss=loss.name, backend=backend)
    for solver in SOLVERS:
        masses = layer_masses(backend, net.layers, 0.3)
        update = gathered(backend, net.layers, NetworkSolver(solver).directions(backend, pulled, masses))
        slope = sum(flat(g) @ flat(d) for g, d in zip(gradients, update.blocks, strict=True))
        assert update.slope() == pytest.approx(slope, rel=1e-10), solver


def everything(given, options):
    """Directions by every solver, metrics and gradients."""
    rest = {name: options[name] for name in ("loss", "backend")}
    directions = [rbench.riemannian_gradient(*given, **options, solver=solver) for solver in SOLVERS]
    return [*directions, rbench.layer_metrics(*given, **options), rbench.loss_gradient(*given, **rest)]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_batch_twice_over_is_the_same(size, given, options):
    if isinstance(options["output_metric"], str) and options["output_metric"] == "ggn_mc":
        pytest.skip("a batch twice over draws other samples")
    net, params, x, y = given
    once = everything((net, params, x[:size], y[:size]), options)
    twice = everything((net, params, np.tile(x[:size], (2, 1)), np.concatenate([y[:size]] * 2)), options)
    for one, other in zip(twice, once, strict=True):
        assert furthest(one, other) <= 1e-10


def test_mean_is_stack_for_one_datum_alone(given, loss, metric, backend):
    net, params, x, y = given
    options = {"loss": loss, "output_metric": metric[0], "rank": metric[1], "backend": backend}
    for size in (1, 3):
        data = net, params, x[:size], y[:size]
        *both, _ = zip(*(everything(data, {**options, "batch": batch}) for batch in ("stack", "mean")), strict=True)
        errors = [furthest(*pair) for pair in both]
        assert max(errors) <= 1e-10 if size == 1 else min(errors) >= 1e-6


def test_great_mass_gives_the_gradient_over_the_mass(given, options, backend):
    gradient = rbench.loss_gradient(*given, loss=options["loss"], backend=backend)
    for solver in SOLVERS:
        blocks = rbench.riemannian_gradient(*given, **options, mass=1e14, solver=solver)
        scaled = [1e14 * flat(block) for block in blocks]
        assert furthest(scaled, gradient) <= 1e-8, solver


@pytest.mark.parametrize(("batch", "solvers"), [(12, ("dense", "inverse")), (4, ("gram", "rows"))])
def test_small_mass_gives_the_gauss_newton_step(batch, solvers, backend, rng, make_params):
    """More rows than numbers: least squares by the normal equations. Fewer: the least-norm solution by Woodbury."""
    net = Linear(5, 3)
    params, x, y = make_params(net, rng), rng.normal(size=(batch, 5)), rng.normal(size=(batch, 3))
    jacobian = jacobians(net, params, x)[0].reshape(batch * 3, -1)
    step = np.linalg.lstsq(jacobian, (net.apply(backend, params, x) - y).ravel())[0]
    for solver in solvers:
        options = {"loss": "squared_error", "mass": 1e-9, "solver": solver, "backend": backend}
        (block,) = rbench.riemannian_gradient(net, params, x, y, **options)
        assert relative(flat(block), step) <= 1e-6, solver


@pytest.mark.parametrize("kind", FULL)
def test_gram_refuses_a_full_diagonal(kind, backend, rng):
    net = Linear(4, 3)
    mass = oracle.draw_mass(kind, net.layers, rng)
    options = {"loss": "cross_entropy", "mass": mass, "backend": backend}
    with pytest.raises(SolverError, match="'gram' needs a scalar or separable mass, not a full diagonal"):
        rbench.riemannian_gradient(net, net.init(backend), np.ones((2, 4)), [0, 1], **options, solver="gram")


def test_unknown_solver(backend):
    with pytest.raises(SolverError, match="no solver is called 'cg'; there are: auto, gram, rows, dense, inverse"):
        choose_form("cg", backend, LayerSize(1, 1, 1, 1, 1, True), KroneckerMass(1.0, 1.0, 1.0))


@pytest.mark.parametrize("batch", ["stack", "mean"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_not_a_number_is_a_capacitance_error(solver, batch, backend, rng):
    net = Linear(4, 3)
    x = rng.normal(size=(8, 4))
    x[0, 0] = np.nan
    options = {"loss": "squared_error", "solver": solver, "batch": batch, "backend": backend}
    with pytest.raises(CapacitanceError, match="matrix of layer 0 could not be factored") as caught:
        rbench.riemannian_gradient(net, net.init(backend), x, np.zeros((8, 3)), **options)
    assert (caught.value.layer, caught.value.step) == (0, None)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize(("size", "place"), [(1, 0), (5, 0), (5, 2), (5, 4)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_an_overflow_never_comes_back_as_a_direction(solver, size, place, backend, rng):
    net = Linear(2, 2)
    x = rng.normal(size=(size, 2))
    x[place] = 1e200
    options = {"loss": "cross_entropy", "output_metric": "identity", "solver": solver, "backend": backend}
    try:
        (block,) = rbench.riemannian_gradient(net, net.init(backend), x, [1] * size, **options)
    except CapacitanceError as error:
        assert error.layer == 0  # noqa: PT017 -- a finite direction is as good
    else:
        assert all(np.isfinite(array).all() for array in block.values())


def test_health_names_the_layer_and_the_step(backend):
    check_health(np.ones(3))
    with pytest.raises(CapacitanceError, match="layer 1 could not be factored at step 7") as caught:
        check_health(np.array([1.0, np.nan, np.nan]), step=7)
    assert (caught.value.layer, caught.value.step) == (1, 7)


@pytest.mark.parametrize("solver", ["gram", "rows"])
def test_a_capacitance_that_rounding_makes_singular_is_still_solved(solver, single, rng):
    net = Linear(4, 3)
    x, y = np.tile(1e4 * rng.normal(size=(1, 4)), (16, 1)), np.zeros((16, 3))
    options = {"loss": "squared_error", "mass": 1e-6, "solver": solver, "backend": single}
    (block,) = rbench.riemannian_gradient(net, net.init(single), x, y, **options)
    assert all(np.isfinite(array).all() for array in block.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cholesky(dtype, backend, single, rng):
    on = {"float32": single, "float64": backend}[dtype]
    root = rng.normal(size=(6, 6))
    matrix = root @ root.T + np.eye(6)
    only_lower = on.asarray(np.tril(matrix))
    lower = on.cholesky(only_lower)
    np.testing.assert_array_equal(lower, np.tril(lower))
    np.testing.assert_allclose(lower @ lower.T, matrix, rtol=1e3 * on.epsilon)
    rhs = on.asarray(rng.normal(size=(6, 2)))
    np.testing.assert_allclose(lower @ on.solve_triangular(lower, rhs), rhs, atol=1e3 * on.epsilon)
    np.testing.assert_allclose(lower.T @ on.solve_triangular(lower, rhs, transpose=True), rhs, atol=1e3 * on.epsilon)
    singular = on.asarray(np.full((6, 6), 1 / on.epsilon)) + on.asarray(np.eye(6) / 4)  # the eye is rounded away
    assert (singular == singular[0, 0]).all()
    lower = on.cholesky(singular)
    np.testing.assert_allclose(lower @ lower.T, singular, rtol=100 * on.epsilon)
    for hopeless in (np.diag([1.0, -1.0]), np.array([[1.0, 2.0], [2.0, 1.0]]), np.diag([1.0, 2.0, -1e9])):
        factor = on.cholesky(on.asarray(hopeless))
        assert (factor.shape, factor.dtype) == (hopeless.shape, dtype)
        assert np.isnan(factor).all()


def test_not_a_number_anywhere_reaches_the_health(backend):
    for place in zip(*np.tril_indices(6), strict=True):
        matrix = np.eye(6) + 0.1
        matrix[place] = matrix[place[::-1]] = np.nan
        lower = backend.cholesky(matrix, 1.0)
        assert np.isnan(health_of(np.eye(6), lower))
        assert np.isnan(solve_cholesky(backend, lower, np.ones((6, 1)))).any()


def peak_bytes(solver, batch, fan_in, fan_out, backend):
    """Bytes that V would take, and the most that NumPy held at once."""
    net = Linear(fan_in, fan_out) >> Tanh() >> Linear(fan_out, 10)
    params, x, y = net.init(backend), np.ones((batch, fan_in)), np.arange(batch) % 10
    tracemalloc.start()
    try:
        rbench.riemannian_gradient(net, params, x, y, loss="cross_entropy", solver=solver, backend=backend)
        rank = 9  # of the softmax Hessian of 10 classes
        return 8 * batch * rank * (fan_in + 1) * fan_out, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_gram_never_forms_the_rows(backend):
    rows, peak = peak_bytes("gram", 64, 784, 300, backend)
    assert rows > 1e9
    assert peak < 50e6
    rows, peak = peak_bytes("rows", 8, 100, 100, backend)
    assert peak > rows  # the measurement would see them


SCALAR = KroneckerMass(0.1, 1.0, 1.0)
WIDE = LayerSize(examples=128, positions=1, rank=1, fan_in=1024, fan_out=1024, bias=True)
TINY = LayerSize(examples=512, positions=1, rank=10, fan_in=3, fan_out=2, bias=True)


@pytest.mark.parametrize(("size", "name"), [(WIDE, "gram"), (TINY, "dense")])
def test_planner_chooses_the_cheapest(size, name, backend):
    assert choose_form("auto", backend, size, SCALAR).name == name


def test_planner_over_random_sizes(backend, rng):
    seen = set()
    full = DiagonalMass(np.ones((1, 1)), np.ones(1))
    for _ in range(2000):
        size = LayerSize(*(int(2**e) for e in rng.uniform(0, 10, 5)), bias=True)
        workspace = 2 ** rng.uniform(10, 34)
        for mass in (SCALAR, full):
            chosen = choose_form("auto", backend, size, mass, workspace)
            names = [name for name in ("gram", "rows", "dense") if name != "gram" or mass is SCALAR]
            able = [form for name in names for form in SOLVERS[name](size, workspace / 8)]
            fitting = [form for form in able if 8 * form.cost(size).numbers <= workspace]
            assert chosen.name in names
            if fitting:
                assert 8 * chosen.cost(size).numbers <= workspace
                assert chosen.cost(size).operations == min(form.cost(size).operations for form in fitting)
            else:
                assert chosen.cost(size).numbers == min(form.cost(size).numbers for form in able)
            seen.add((chosen.name, mass is SCALAR))
    assert {("gram", True), ("dense", True), ("rows", False), ("dense", False)} <= seen
