"""`dense`: the layer metric G formed, and solved by Cholesky."""

from rbench.backend import Array, Backend
from rbench.metrics import LayerRows, Mass
from rbench.modules.inputs import Inputs
from rbench.solvers.base import Block, Direction, Factored, Form, LayerSize
from rbench.solvers.capacitance import factor_definite, solve_factored
from rbench.solvers.rows import as_direction, flat_gradient, layer_matrices


class Dense(Form):
    """Solve (M + VᵀV) Δ = g with the (n, n) matrix in memory; cheapest where n is below the number of V's rows."""

    name = "dense"

    def operations(self, size: LayerSize) -> float:
        forming = (size.rows + size.samples) * size.positions * size.fan_out * size.fan_in
        return forming + size.n**2 * size.rows / 2 + size.n**3 / 6

    def factoring(self, size: LayerSize) -> float:
        return self.operations(size)

    def applying(self, size: LayerSize) -> float:
        return float(size.n**2)

    def kept_numbers(self, size: LayerSize) -> float:
        return float(size.n**2)

    def numbers(self, size: LayerSize) -> float:
        return 2.0 * size.n**2 + size.rows * size.n

    def factor(self, backend: Backend, rows: LayerRows, mass: Mass) -> Factored:
        matrix, gradient = layer_metric(backend, rows, mass)
        lower, health = factor_definite(backend, matrix)
        return Factored(lower, gradient[:0], gradient[:0], health)

    def solve_with(
        self, backend: Backend, factored: Factored, source: Inputs, mass: Mass, gradient: Block
    ) -> Direction:
        flat = flat_gradient(backend, gradient)
        direction = solve_factored(backend, factored.matrix, flat)
        return as_direction(backend, flat, direction, gradient[0].shape, factored.health)

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass) -> Direction:
        matrix, gradient = layer_metric(backend, rows, mass)
        lower, health = factor_definite(backend, matrix)
        shape = rows.rows.shape[3], rows.source.shape[2]
        return as_direction(backend, gradient, solve_factored(backend, lower, gradient), shape, health)


def layer_metric(backend: Backend, rows: LayerRows, mass: Mass) -> tuple[Array, Array]:
    """G = M + VᵀV of shape (n, n), and the gradient (n,), in the order weight then bias."""
    factor, gradient, entries = layer_matrices(backend, rows, mass)
    return factor.T @ factor + backend.eye(entries.shape[0]) * entries, gradient
