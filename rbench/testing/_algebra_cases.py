"""Cases of a backend's linear algebra and error function, as `rbench.backend.Backend` promises them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy.special import erf

from rbench.backend import Array, Backend
from rbench.losses.dense import Numbers
from rbench.random import generator
from rbench.testing._examples import SEED
from rbench.testing.case import TOLERANCE, Case, array_case

_N = 5
_NORMAL = generator(SEED, "data", 6).normal(size=(3, _N, _N))
_DEFINITE = _NORMAL[0] @ _NORMAL[0].T / _N + 0.5 * np.eye(_N)
_INDEFINITE = _DEFINITE - 2 * np.eye(_N)
_LOWER = np.linalg.cholesky(_DEFINITE)
_SHIFTED = np.linalg.cholesky(_DEFINITE + 0.7 * np.eye(_N))
_NAN = np.full((_N, _N), np.nan)
_ONES = np.ones((2, 2))
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
    for name, (function, matrix, expected) in _CHOLESKY.items():
        yield array_case("cholesky", name, function, expected, given=[matrix])
    for place in ((0, 0), (2, 1), (4, 0), (4, 4)):
        matrix = _spoilt(place, np.nan)
        yield array_case("cholesky", f"NaN at {place}", _health, _NAN[0, 0], given=[matrix])
    yield from _triangular()
    yield array_case("inverse", "regular", lambda b, m: b.inverse(m), np.linalg.inv(_DEFINITE), given=[_DEFINITE])
    for name, matrix in _SINGULAR.items():
        yield array_case("inverse", name, lambda b, m: b.inverse(m), np.full(matrix.shape, np.nan), given=[matrix])
    for name, matrix in _SYMMETRIC.items():
        yield array_case("eigh", name, _eigen, np.linalg.eigvalsh(matrix), matrix, np.eye(_N), given=[matrix])
    for number in (np.nan, np.inf):
        matrix = _spoilt((2, 2), number)
        yield array_case("eigh", f"{number} in the matrix", lambda b, m: b.eigh(m)[0], _NAN[0], given=[matrix])
    x = np.concatenate([np.linspace(-4, 4, 41), [-30.0, 30.0]])
    yield array_case("erf", "from -4 to 4, and far out", lambda b, x: b.erf(x), erf(x), given=[x])
    yield array_case(
        "products",
        "64 by 64",
        lambda b, one, other: one @ other,
        _LARGE @ _LARGE,
        given=[_LARGE, _LARGE],
        tolerance={**TOLERANCE, "float32": 1e-5},
        why="products in TensorFloat-32 would pass at 1e-3",
    )


def _lower_half(backend: Backend, matrix: Array, shift: float = 0.0) -> Array:
    return backend.asarray(np.tril(backend.to_numpy(backend.cholesky(matrix, shift))))


def _nearly_definite(backend: Backend, ones: Array, shift: float) -> Array:
    """L Lᵀ for the sum [[1, 1 + ε], [1 + ε, 1]], whose second pivot is −2ε, and 10ε once the diagonal is inflated."""
    eye = backend.eye(2)
    lower = backend.cholesky(ones + backend.epsilon * (1 - eye) - shift * eye, shift)
    return lower @ lower.T


def _health(backend: Backend, matrix: Array, compiled: bool = False) -> Array:
    """The first plus the last pivot, by which solvers see that a factorisation failed."""
    lower = (backend.compile(backend.cholesky) if compiled else backend.cholesky)(matrix)
    return lower[0, 0] + lower[-1, -1]


_CHOLESKY: dict[str, tuple[Callable[..., Any], Numbers, Numbers]] = {
    "shift": (lambda b, m: b.cholesky(m, 0.7), _DEFINITE, _SHIFTED),
    "no shift": (lambda b, m: b.cholesky(m), _DEFINITE, _LOWER),
    "native shift": (lambda b, m: b.cholesky(m, b.asarray(0.7)), _DEFINITE, _SHIFTED),
    "definite by its shift": (lambda b, m: b.cholesky(m, 2.0), _INDEFINITE, _LOWER),
    "only the lower half is read": (
        lambda b, m: b.cholesky(m),
        np.tril(_DEFINITE) + np.triu(_NORMAL[1], 1),
        _LOWER,
    ),
    "one row": (lambda b, m: b.cholesky(m), np.array([[4.0]]), np.array([[2.0]])),
    "indefinite": (_lower_half, _INDEFINITE, np.tril(_NAN)),
    "indefinite in spite of its shift": (partial(_lower_half, shift=0.1), _INDEFINITE, np.tril(_NAN)),
    "compiled, definite": (lambda b, m: b.compile(b.cholesky)(m), _DEFINITE, _LOWER),
    "compiled, indefinite": (partial(_health, compiled=True), _INDEFINITE, _NAN[0, 0]),
    "semidefinite but for rounding": (partial(_nearly_definite, shift=0.0), _ONES, _ONES),
    "the same by a shift": (partial(_nearly_definite, shift=0.5), _ONES, _ONES),
}
"""What is factorised, how, and the result."""


def _spoilt(place: tuple[int, int], number: float) -> Numbers:
    matrix: Numbers = _DEFINITE.copy()
    matrix[place] = matrix[place[::-1]] = number
    return matrix


def _triangular() -> Iterator[Case]:
    check = "solve_triangular"
    for name, rhs in {"3 right-hand sides": _NORMAL[2][:, :3], "1 right-hand side": _NORMAL[2][:, :1]}.items():
        given = [_LOWER, rhs]
        transposed, plain = np.linalg.solve(_LOWER.T, rhs), np.linalg.solve(_LOWER, rhs)
        yield array_case(check, f"transposed, {name}", partial(_solved, transpose=True), transposed, given=given)
        yield array_case(check, f"as it is, {name}", _solved, plain, given=given)
    expected = np.linalg.solve(_LOWER, _NORMAL[2].T)
    given = [_LOWER, _NORMAL[2]]
    yield array_case(check, "a view on the right", lambda b, m, r: b.solve_triangular(m, r.T), expected, given=given)


def _solved(backend: Backend, lower: Array, rhs: Array, transpose: bool = False) -> Array:
    return backend.solve_triangular(lower, rhs, transpose=transpose)


def _eigen(backend: Backend, matrix: Array) -> list[Array]:
    """Eigenvalues w, V diag(w) Vᵀ and VᵀV."""
    values, vectors = backend.eigh(matrix)
    return [values, (vectors * values) @ vectors.T, vectors.T @ vectors]
