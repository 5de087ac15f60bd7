"""Solving with Cholesky factors, and detecting that a factorisation failed."""

from functools import reduce
from operator import add

from rbench.backend import Array, Backend


def solve_cholesky(backend: Backend, lower: Array, rhs: Array) -> Array:
    """Solve L Lᵀ X = B for X (n, k), given L (n, n) and B (n, k)."""
    return backend.solve_triangular(lower, backend.solve_triangular(lower, rhs), transpose=True)


def health_of(*matrices: Array) -> Array:
    """A scalar that is not finite where one of the Cholesky factors or inverses failed, and so is all NaN."""
    return reduce(add, (matrix[0, 0] + matrix[-1, -1] for matrix in matrices))
