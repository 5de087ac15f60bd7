"""Solving with Cholesky factors, and whether a factorisation held."""

from functools import reduce
from operator import add

from rbench.backend import Array, Backend


def solve_cholesky(backend: Backend, lower: Array, rhs: Array) -> Array:
    """Solve L Lᵀ X = B for X (n, k), given L (n, n) and B (n, k)."""
    return backend.solve_triangular(lower, backend.solve_triangular(lower, rhs), transpose=True)


def health_of(*matrices: Array) -> Array:
    """A scalar that is not finite where one of some Cholesky factors or inverses is all NaN, as one that failed is."""
    return reduce(add, (matrix[0, 0] + matrix[-1, -1] for matrix in matrices))
