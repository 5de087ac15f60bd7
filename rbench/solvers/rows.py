"""`rows`: Woodbury with V formed."""

from rbench.backend import Array, Backend
from rbench.metrics import LayerRows, Mass, weight_product
from rbench.solvers.base import Direction, LayerSize, Solver
from rbench.solvers.capacitance import solve_capacitance


class Rows(Solver):
    """Δ = M⁻¹g − M⁻¹Vᵀ (I + V M⁻¹Vᵀ)⁻¹ V M⁻¹ g, with V of shape (rows, n) in memory; for any mass."""

    name = "rows"

    def operations(self, size: LayerSize) -> float:
        forming = (size.rows + size.samples) * size.positions * size.fan_out * size.fan_in
        return forming + size.n * size.rows**2 / 2 + 2 * size.n * size.rows + size.rows**3 / 6

    def numbers(self, size: LayerSize) -> float:
        return 2.0 * size.rows * size.n + 2 * size.rows**2

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass) -> Direction:
        factor, gradient, entries = layer_matrices(backend, rows, mass)
        root = backend.xp.sqrt(entries)
        scaled, scaled_gradient = factor / root, gradient / root
        solution, health = solve_capacitance(backend, scaled @ scaled.T, scaled @ scaled_gradient)
        direction = (scaled_gradient - solution @ scaled) / root
        return as_direction(backend, rows, gradient, direction, health)


def layer_matrices(backend: Backend, rows: LayerRows, mass: Mass) -> tuple[Array, Array, Array]:
    """V (rows, n), the gradient (n,) and the mass's diagonal (n,), all in the order weight then bias."""
    xp = backend.xp
    samples, positions, fan_in = rows.inputs.shape
    cotangents = rows.factor_rows
    rank, fan_out = cotangents.shape[1], cotangents.shape[3]
    by_position = xp.reshape(xp.permute_dims(cotangents, (0, 1, 3, 2)), (samples, rank * fan_out, positions))
    weights = xp.reshape(by_position @ rows.inputs, (samples * rank, fan_out * fan_in))
    gradient, gradient_bias = weight_product(backend, rows.source, rows.gradient_rows)
    mass_weight, mass_bias = mass.block(backend, fan_out, fan_in)
    parts = [weights], [xp.reshape(gradient, (-1,))], [xp.reshape(mass_weight, (-1,))]
    if rows.bias:
        parts[0].append(xp.reshape(xp.sum(cotangents, axis=2), (samples * rank, fan_out)))
        parts[1].append(gradient_bias)
        parts[2].append(mass_bias)
    return xp.concat(parts[0], axis=1), xp.concat(parts[1]), xp.concat(parts[2])


def as_direction(backend: Backend, rows: LayerRows, gradient: Array, direction: Array, health: Array) -> Direction:
    """A flat direction (n,) as a block, with its slope."""
    xp = backend.xp
    fan_in, fan_out = rows.inputs.shape[2], rows.rows.shape[3]
    weight = xp.reshape(direction[: fan_out * fan_in], (fan_out, fan_in))
    return Direction(weight, direction[direction.shape[0] - fan_out :], xp.sum(gradient * direction), health)
