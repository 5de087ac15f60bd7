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
    return solve_definite(backend, inner + eye(backend, inner.shape[0]), rhs)


def solve_definite(backend: Backend, matrix: Array, rhs: Array) -> tuple[Array, Array]:
    """Solve a symmetric positive definite system by Cholesky; returns and fails like `solve_capacitance`."""
    lower = backend.cholesky(matrix)
    half = backend.solve_triangular(lower, rhs[:, None])
    health = lower[0, 0] + lower[-1, -1]
    return backend.solve_triangular(lower, half, transpose=True)[:, 0], health


def eye(backend: Backend, size: int) -> Array:
    """The identity (size, size)."""
    return backend.xp.eye(size, dtype=backend.float_dtype, device=backend.native_device)
