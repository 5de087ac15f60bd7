"""A NumPy backend that counts the multiply-add pairs of every product, factorisation and solve that it computes."""

import numpy as np

from rbench.methods.operations import EIGEN
from rbench_numpy.backend import NumpyBackend


class Counted(np.ndarray):
    """An array whose matrix products are added to `pairs`; what is computed from it is counted too."""

    pairs = 0.0

    def __array_function__(self, function, types, arguments, options):
        result = super().__array_function__(function, types, arguments, options)
        return result.view(Counted) if isinstance(result, np.ndarray) else result

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        plain = [np.asarray(x) if isinstance(x, np.ndarray) else x for x in inputs]
        if out is not None:
            options["out"] = tuple(np.asarray(x) for x in out)
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul:
            first, second = plain
            inner = first.shape[-1]
            Counted.pairs += np.asarray(result).size * inner / (2 if _is_transpose(first, second) else 1)
        return result.view(Counted) if isinstance(result, np.ndarray) and out is None else out[0] if out else result


def _is_transpose(first, second):
    """Whether two matrices are one and its transpose, of whose product BLAS computes a half."""
    one = first.ctypes.data == second.ctypes.data and first.shape == second.shape[::-1]
    return first.ndim == 2 and one and first.strides == second.strides[::-1]


class CountingBackend(NumpyBackend):
    """NumPy at float64; `Counted.pairs` grows."""

    name = "counting"

    def __init__(self):
        super().__init__("float64")

    def asarray(self, values, dtype=None):
        return np.asarray(super().asarray(values, dtype)).view(Counted)

    def cholesky(self, matrix, shift=0.0):
        Counted.pairs += len(matrix) ** 3 / 6
        return super().cholesky(np.asarray(matrix), shift).view(Counted)

    def solve_triangular(self, lower, rhs, *, transpose=False):
        Counted.pairs += len(lower) ** 2 / 2 * rhs.shape[1]
        return super().solve_triangular(np.asarray(lower), np.asarray(rhs), transpose=transpose).view(Counted)

    def eigh(self, matrix):
        Counted.pairs += EIGEN * len(matrix) ** 3
        return tuple(array.view(Counted) for array in super().eigh(np.asarray(matrix)))

    def inverse(self, matrix):
        Counted.pairs += len(matrix) ** 3
        return super().inverse(np.asarray(matrix)).view(Counted)


def counted(function):
    """The pairs of one call."""
    Counted.pairs = 0.0
    function()
    return Counted.pairs
