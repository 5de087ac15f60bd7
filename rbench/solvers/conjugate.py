"""Conjugate gradients: G x = b by products with G alone, in a fixed number of iterations, as a pure function."""

from collections.abc import Callable

from rbench.backend import Array, Backend


def conjugate_gradients(
    backend: Backend,
    product: Callable[[Array], Array],
    rhs: Array,
    *,
    iterations: int,
    tolerance: float,
    start: Array | None = None,
    divisor: Array | float = 1.0,
) -> Array:
    """An approximate solution (n,) of G x = b for a symmetric positive definite G (Hestenes and Stiefel 1952).

    Iterate k is the least point of ½ xᵀGx − bᵀx in x_0 + the Krylov space of D⁻¹G, D the divisor, that k products
    span. Once the residual is small enough the iterate stays as it is, while the iterations go on: compiled code has no
    data-dependent end.

    Args:
        backend: the arrays' backend.
        product: computes G v (n,), given v (n,).
        rhs: b, (n,).
        iterations: how many products are taken; with a `start`, one more.
        tolerance: an iterate with ‖b − G x‖ ≤ tolerance · ‖b‖ is kept. The dtype's ε is the least that counts.
        start: x_0; None for zero.
        divisor: the diagonal of a preconditioner that is like G, (n,) or a number.

    Returns:
        x, all NaN where a product was not finite.
    """
    xp = backend.xp

    def dot(one: Array, other: Array) -> Array:
        return xp.sum(one * other)

    x = xp.zeros_like(rhs) if start is None else start
    residual = rhs if start is None else rhs - product(x)
    enough = max(tolerance, backend.epsilon) ** 2 * dot(rhs, rhs)
    scaled = residual / divisor
    direction = scaled
    square = dot(residual, scaled)
    zero = xp.zeros_like(square)

    def over(top: Array, bottom: Array) -> Array:
        """top / bottom while the iterations go on, then zero."""
        return xp.where(going, top / xp.where(going, bottom, xp.ones_like(bottom)), zero)

    for _ in range(iterations):
        going = xp.logical_not(dot(residual, residual) <= enough)  # NaN goes on, and so is seen
        image = product(direction)
        rate = over(square, dot(direction, image))
        x = x + rate * direction
        residual = residual - rate * image
        scaled = residual / divisor
        new = dot(residual, scaled)
        direction = scaled + over(new, square) * direction
        square = new
    return x + 0 * xp.sum(residual)  # NaN too where only the last product was not finite
