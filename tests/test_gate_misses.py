"""The equivalence gate can fail: backends that are wrong are missed."""

import numpy as np
import pytest

from helpers.missed import misses, telling
from rbench.testing import cases
from rbench_numpy.backend import NumpyBackend


class TriangularTheOtherWay(NumpyBackend):
    def solve_triangular(self, lower, rhs, *, transpose=False):
        return super().solve_triangular(lower, rhs, transpose=not transpose)


class NoShift(NumpyBackend):
    def cholesky(self, matrix, shift=0.0):
        return super().cholesky(matrix)


class UpperHalf(NumpyBackend):
    def cholesky(self, matrix, shift=0.0):
        return super().cholesky(np.ascontiguousarray(matrix.T), shift)


class NoInflation(NumpyBackend):
    epsilon = 0.0


class CholeskyRaises(NumpyBackend):
    def cholesky(self, matrix, shift=0.0):
        return np.linalg.cholesky(matrix + shift * np.eye(len(matrix), dtype=matrix.dtype))


class InverseRaises(NumpyBackend):
    def inverse(self, matrix):
        return np.linalg.inv(matrix)


class EighOfAnything(NumpyBackend):
    def eigh(self, matrix):
        return np.linalg.eigh(matrix)


class DescendingEigenvalues(NumpyBackend):
    def eigh(self, matrix):
        values, vectors = super().eigh(matrix)
        return values[::-1], vectors[:, ::-1]


class WrongErf(NumpyBackend):
    def erf(self, x):
        return np.tanh(1.2 * x)


class Promoted(NumpyBackend):
    def solve_triangular(self, lower, rhs, *, transpose=False):
        return super().solve_triangular(lower, rhs, transpose=transpose).astype(np.float64)


class HalfPrecision(NumpyBackend):
    def asarray(self, values, dtype=None):
        found = super().asarray(values, dtype)
        return found.astype(np.float16).astype(found.dtype) if dtype is None else found


class FloatLabels(NumpyBackend):
    def labels(self, values):
        return self.asarray(values)


class AddsInPlace(NumpyBackend):
    def add_scaled(self, x, scale, y):
        x += scale * y
        return x


class OneCallBehind(NumpyBackend):
    def compile(self, function, static=()):
        kept = []

        def late(*args, **kwargs):
            kept.append(function(*args, **kwargs))
            return kept[max(0, len(kept) - 2)]

        return late


class FirstStaticForAll(NumpyBackend):
    def compile(self, function, static=()):
        first = {}

        def fixed(*args, **kwargs):
            first.update({key: value for key, value in kwargs.items() if key not in first})
            return function(*args, **first)

        return fixed


class NumbersBakedIn(NumpyBackend):
    def compile(self, function, static=()):
        first = {}

        def baked(*args, **kwargs):
            numbers = [first.setdefault(i, arg) if isinstance(arg, dict) else arg for i, arg in enumerate(args)]
            return function(*numbers, **kwargs)

        return baked


class LoopKeepsItsCarry(NumpyBackend):
    def compile_loop(self, function):
        def loop(carry, items):
            results = [function(carry, tuple(pick(item, t) for item in items))[1] for t in range(3)]
            return carry, (np.stack([total for total, _ in results]), None)

        def pick(item, t):
            return {key: value[t] for key, value in item.items()} if isinstance(item, dict) else item and item[t]

        return loop


SABOTAGED = {
    TriangularTheOtherWay: {"solve_triangular", "solver gram", "solver rows", "solver dense", "trajectory kfac"},
    NoShift: {"cholesky", "solver gram", "solver rows", "kfac directions", "trajectory riemannian"},
    UpperHalf: {"cholesky"},
    NoInflation: {"cholesky"},
    CholeskyRaises: {"cholesky"},
    InverseRaises: {"inverse"},
    EighOfAnything: {"eigh"},
    DescendingEigenvalues: {"eigh"},
    WrongErf: {"erf", "forward", "pullback", "gradient", "kfac directions"},
    Promoted: {"solve_triangular", "solver gram", "solver rows", "kfac directions", "trajectory riemannian"},
    HalfPrecision: {"products"},
    FloatLabels: {"labels"},
    AddsInPlace: {"arrays"},
    OneCallBehind: {"compile", "trajectory sgd", "trajectory adam", "trajectory naive", "trajectory kfac"},
    FirstStaticForAll: {"compile", "trajectory kfac"},
    NumbersBakedIn: {"compile", "trajectory sgd", "trajectory adam", "trajectory riemannian"},
    LoopKeepsItsCarry: {"compile"},
}
"""A backend that is wrong in one way, and the checks that must tell."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("sabotaged", SABOTAGED, ids=lambda cls: cls.__name__)
def test_a_wrong_backend_is_found(sabotaged):
    missed = misses(sabotaged("float32"), telling(SABOTAGED[sabotaged]))
    assert missed.keys() >= SABOTAGED[sabotaged]
    assert missed.keys() < {case.check for case in cases()}, "a gate that fails everywhere tells nothing"
