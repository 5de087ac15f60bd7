"""The capacitance K = I + V M⁻¹ Vᵀ, solved by Cholesky."""

from rbench.backend import Array, Backend


def solve_capacitance(backend: Backend, inner: Array, rhs: Array) -> tuple[Array, Array]:
    """Solve (I + inner) c = rhs.

    In exact arithmetic K's eigenvalues are at least 1. Where rounding loses definiteness nonetheless (‖K‖ ε > 1),
    `Backend.cholesky` adds the rounding level to the diagonal; where that fails too the result is NaN.

    Args:
        backend: the arrays' backend.
        inner: V M⁻¹ Vᵀ, (rows, rows).
        rhs: (rows,).

    Returns:
        c of shape (rows,), and the scalar that is NaN where K could not be factored.
    """
    return solve_definite(backend, inner, rhs, shift=1.0)


def solve_definite(backend: Backend, matrix: Array, rhs: Array, shift: float = 0.0) -> tuple[Array, Array]:
    """Solve the definite (matrix + shift · I) x = rhs by Cholesky; returns and fails like `solve_capacitance`."""
    lower = backend.cholesky(matrix, shift)
    half = backend.solve_triangular(lower, rhs[:, None])
    health = lower[0, 0] + lower[-1, -1]
    return backend.solve_triangular(lower, half, transpose=True)[:, 0], health
