"""The core keeps to the array API standard: on array-api-strict it gives what it gives on NumPy."""

import numpy as np
import pytest

import rbench
from rbench.backend import Backend

xp = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")


class StrictBackend(Backend):
    """array-api-strict, with NumPy for what the standard lacks."""

    name, xp, dtype, device = "strict", xp, "float64", "cpu"

    def __init__(self, host):
        self.host = host

    def asarray(self, values, dtype=None):
        return xp.asarray(self.to_numpy(values), dtype=dtype or self.float_dtype)

    def to_numpy(self, array):
        return np.from_dlpack(array) if isinstance(array, xp.zeros(1).__class__) else np.asarray(array)

    def synchronize(self, arrays=()):
        pass

    def compile(self, function, static=()):
        return function

    def cholesky(self, matrix, shift=0.0):
        return self.on_host(lambda array: self.host.cholesky(array, float(shift)), matrix)

    def solve_triangular(self, lower, rhs, *, transpose=False):
        return self.on_host(lambda *arrays: self.host.solve_triangular(*arrays, transpose=transpose), lower, rhs)

    def inverse(self, matrix):
        return self.on_host(self.host.inverse, matrix)

    def erf(self, x):
        return self.on_host(self.host.erf, x)

    def describe(self):
        return {"array-api-strict": xp.__version__}

    def on_host(self, function, *arrays):
        return self.asarray(function(*map(self.to_numpy, arrays)))


@pytest.fixture(scope="session")
def strict(backend):
    return StrictBackend(backend)


def assert_same(native, expected, strict):
    for block, wanted in zip(native, expected, strict=True):
        assert set(block) == set(wanted)
        for name, array in block.items():
            assert type(array) is type(xp.zeros(1))
            np.testing.assert_allclose(strict.to_numpy(array), wanted[name], rtol=1e-12, atol=1e-12)


def natively(params, strict):
    return tuple({name: strict.asarray(array) for name, array in block.items()} for block in params)


def test_loss_gradient(network, loss, backend, strict):
    data = network.x, network.targets[loss]
    expected = rbench.loss_gradient(network.net, network.params, *data, loss=loss, backend=backend)
    params, data = natively(network.params, strict), (strict.asarray(network.x), network.targets[loss])
    assert_same(rbench.loss_gradient(network.net, params, *data, loss=loss, backend=strict), expected, strict)


@pytest.mark.parametrize("batch", ["stack", "mean"])
@pytest.mark.parametrize("metric", ["identity", "ggn", "ggn_mc", "true_vs_rest", "empirical_fisher", "fixed"])
def test_riemannian_gradient(metric, batch, network, loss, oracle, backend, strict):
    if metric == "true_vs_rest" and loss != "cross_entropy":
        pytest.skip("true_vs_rest needs class labels")
    options = {"loss": loss, "output_metric": np.diag([1.0, 2, 3]) if metric == "fixed" else metric, "batch": batch}
    data = network.x, network.targets[loss]
    for kind, solvers in {
        "list": ["auto", "gram", "rows", "dense", "inverse"],
        "pair": ["gram", "rows"],
        "full": ["rows", "dense"],
    }.items():
        mass, _ = oracle.draw_mass(kind, network.net.layers, np.random.default_rng(5))
        for solver in solvers:
            chosen = {**options, "rank": 2, "mass": mass, "solver": solver}
            expected = rbench.riemannian_gradient(network.net, network.params, *data, **chosen, backend=backend)
            params = natively(network.params, strict)
            found = rbench.riemannian_gradient(network.net, params, *data, **chosen, backend=strict)
            assert_same(found, expected, strict)


@pytest.mark.parametrize("module", [rbench.GELU(), rbench.ReLU(), rbench.Exp(), rbench.Sigmoid()], ids=repr)
def test_other_modules(module, backend, strict, rng):
    net = rbench.Flatten() >> rbench.Linear(6, 3) >> module >> rbench.Linear(3, 2)
    x, y = rng.normal(size=(4, 2, 3)), rng.integers(0, 2, 4)
    expected = rbench.riemannian_gradient(net, net.init(backend), x, y, loss="cross_entropy", backend=backend)
    found = rbench.riemannian_gradient(net, net.init(strict), x, y, loss="cross_entropy", backend=strict)
    assert_same(found, expected, strict)
