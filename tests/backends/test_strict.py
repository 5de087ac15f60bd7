"""The core uses no more than the array API standard and `Backend`: on array-api-strict it passes the gate."""

import numpy as np
import pytest

import rbench
from rbench.backend import Backend
from rbench.testing import cases, verify

xp = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")


class StrictBackend(Backend):
    """array-api-strict, with NumPy for what the standard lacks."""

    name, xp, device = "strict", xp, "cpu"

    def __init__(self, dtype):
        self.dtype, self.host = dtype, rbench.get_backend("numpy", dtype=dtype)

    def asarray(self, values, dtype=None):
        return xp.asarray(np.array(self.to_numpy(values)), dtype=dtype or self.float_dtype)

    def to_numpy(self, array):
        return np.from_dlpack(array) if isinstance(array, type(xp.zeros(1))) else np.asarray(array)

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


@pytest.fixture(scope="module", params=["float32", "float64"])
def strict(request):
    return StrictBackend(request.param)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_gate(case, strict):
    (result,) = verify(strict, [case])
    assert result.passed, str(result)


def test_results_are_strict_arrays(strict):
    net = rbench.Linear(3, 2)
    x, y = np.ones((4, 3)), np.array([0, 1, 0, 1])
    (block,) = rbench.riemannian_gradient(net, net.init(strict), x, y, loss="cross_entropy", backend=strict)
    assert {type(array) for array in block.values()} == {type(xp.zeros(1))}
