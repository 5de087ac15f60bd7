"""Cases of a backend's linear algebra and error function, as `rbench.backend.Backend` promises them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import erf

from rbench.backend import Array, Backend
from rbench.random import generator
from rbench.testing._examples import SEED
from rbench.testing._networks import Numbers
from rbench.testing.case import TOLERANCE, Case, arrays_of

_N = 5
_NORMAL = generator(SEED, "data", 6).normal(size=(3, _N, _N))
_DEFINITE = _NORMAL[0] @ _NORMAL[0].T / _N + 0.5 * np.eye(_N)
_INDEFINITE = _DEFINITE - 2 * np.eye(_N)
_NAN = np.full((_N, _N), np.nan)
_LARGE = generator(SEED, "data", 7).normal(size=(64, 64))

_SINGULAR = {
    "zeros": np.zeros((_N, _N)),
    "rank one": np.outer(2.0 ** np.arange(_N), np.ones(_N)),
    "equal rows": np.array([[1.0, 2.0], [1.0, 2.0]]),
}
"""Matrices whose elimination meets a pivot that is zero in any arithmetic."""

_SYMMETRIC = {
    "indefinite": _INDEFINITE,
    "rank two": _NORMAL[1][:, :2] @ _NORMAL[1][:, :2].T,
    "one eigenvalue": np.eye(_N),
}


def algebra_cases() -> Iterator[Case]:
    """`cholesky`, `solve_triangular`, `inverse`, `eigh`, `erf` and `products`."""
    yield from _cholesky()
    yield from _triangular()
    yield _case("inverse", "regular", lambda b, m: b.inverse(m), [_DEFINITE], np.linalg.inv(_DEFINITE))
    for name, matrix in _SINGULAR.items():
        yield _case("inverse", name, lambda b, m: b.inverse(m), [matrix], np.full(matrix.shape, np.nan))
    for name, matrix in _SYMMETRIC.items():
        yield _case("eigh", name, _eigen, [matrix], np.linalg.eigvalsh(matrix), matrix, np.eye(_N))
    for number in (np.nan, np.inf):
        matrix = _spoilt((2, 2), number)
        yield _case("eigh", f"{number} in the matrix", lambda b, m: b.eigh(m)[0], [matrix], _NAN[0])
    x = np.concatenate([np.linspace(-4, 4, 41), [-30.0, 30.0]])
    yield _case("erf", "from -4 to 4, and far out", lambda b, x: b.erf(x), [x], erf(x))
    yield Case(
        "products",
        "64 by 64",
        arrays_of(lambda b: b.asarray(_LARGE) @ b.asarray(_LARGE)),
        lambda: [_LARGE @ _LARGE],
        tolerance={**TOLERANCE, "float32": 1e-5},
        why="products in TensorFloat-32 would pass at 1e-3",
    )


def _case(check: str, name: str, function: Callable[..., Any], given: list[Numbers], *expected: Numbers) -> Case:
    """A case of a function of the backend and of `given` as native arrays."""
    return Case(check, name, arrays_of(lambda b: function(b, *map(b.asarray, given))), lambda: expected)


def _cholesky() -> Iterator[Case]:
    def case(name: str, function: Callable[..., Any], matrix: Numbers, expected: Numbers) -> Case:
        return _case("cholesky", name, function, [matrix], expected)

    def lower_half(backend: Backend, matrix: Array, shift: float = 0.0) -> Array:
        return backend.asarray(np.tril(backend.to_numpy(backend.cholesky(matrix, shift))))

    lower, shifted = np.linalg.cholesky(_DEFINITE), np.linalg.cholesky(_DEFINITE + 0.7 * np.eye(_N))
    garbage = np.tril(_DEFINITE) + np.triu(_NORMAL[1], 1)
    failed = np.tril(_NAN)
    yield case("shift", lambda b, m: b.cholesky(m, 0.7), _DEFINITE, shifted)
    yield case("no shift", lambda b, m: b.cholesky(m), _DEFINITE, lower)
    yield case("native shift", lambda b, m: b.cholesky(m, b.asarray(0.7)), _DEFINITE, shifted)
    yield case("definite by its shift", lambda b, m: b.cholesky(m, 2.0), _INDEFINITE, lower)
    yield case("only the lower half is read", lambda b, m: b.cholesky(m), garbage, lower)
    yield case("one row", lambda b, m: b.cholesky(m), np.array([[4.0]]), np.array([[2.0]]))
    yield case("indefinite", lower_half, _INDEFINITE, failed)
    yield case("indefinite in spite of its shift", lambda b, m: lower_half(b, m, 0.1), _INDEFINITE, failed)
    yield case("compiled, definite", lambda b, m: b.compile(b.cholesky)(m), _DEFINITE, lower)
    yield case("compiled, indefinite", lambda b, m: _health(b.compile(b.cholesky)(m)), _INDEFINITE, _NAN[0, 0])
    ones = np.ones((2, 2))
    yield case("semidefinite but for rounding", lambda b, m: _nearly_definite(b, m, 0.0), ones, ones)
    yield case("the same by a shift", lambda b, m: _nearly_definite(b, m, 0.5), ones, ones)
    for place in ((0, 0), (2, 1), (4, 0), (4, 4)):
        yield case(f"NaN at {place}", lambda b, m: _health(b.cholesky(m)), _spoilt(place, np.nan), _NAN[0, 0])


def _nearly_definite(backend: Backend, ones: Array, shift: float) -> Array:
    """L Lᵀ for the sum [[1, 1 + ε], [1 + ε, 1]], whose second pivot is −2ε, and 10ε once the diagonal is inflated."""
    eye = backend.eye(2)
    lower = backend.cholesky(ones + backend.epsilon * (1 - eye) - shift * eye, shift)
    return lower @ lower.T


def _health(lower: Array) -> Array:
    """The first plus the last pivot, by which solvers see that a factorisation failed."""
    return lower[0, 0] + lower[-1, -1]


def _spoilt(place: tuple[int, int], number: float) -> Numbers:
    matrix: Numbers = _DEFINITE.copy()
    matrix[place] = matrix[place[::-1]] = number
    return matrix


def _triangular() -> Iterator[Case]:
    lower = np.linalg.cholesky(_DEFINITE)
    for columns in (3, 1):
        rhs = _NORMAL[2][:, :columns]
        for name, transpose, matrix in (("transposed", True, lower.T), ("as it is", False, lower)):
            yield _case(
                "solve_triangular",
                f"{name}, {columns} right-hand side{'s' if columns > 1 else ''}",
                lambda b, m, r, t=transpose: b.solve_triangular(m, r, transpose=t),
                [lower, rhs],
                np.linalg.solve(matrix, rhs),
            )
    expected = np.linalg.solve(lower, _NORMAL[2].T)
    yield _case(
        "solve_triangular",
        "a view on the right",
        lambda b, m, r: b.solve_triangular(m, r.T),
        [lower, _NORMAL[2]],
        expected,
    )


def _eigen(backend: Backend, matrix: Array) -> list[Array]:
    """Eigenvalues w, V diag(w) Vᵀ and VᵀV."""
    values, vectors = backend.eigh(matrix)
    return [values, (vectors * values) @ vectors.T, vectors.T @ vectors]
