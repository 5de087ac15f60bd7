"""`dense`: the layer metric G formed, and solved by Cholesky."""

from rbench.backend import Array, Backend
from rbench.metrics import LayerRows, Mass
from rbench.solvers.base import Direction, LayerSize, Solver
from rbench.solvers.capacitance import solve_definite
from rbench.solvers.rows import as_direction, layer_matrices


class Dense(Solver):
    """Solve (M + VᵀV) Δ = g with the (n, n) matrix in memory; cheapest where n is below the number of V's rows."""

    name = "dense"

    def operations(self, size: LayerSize) -> float:
        forming = (size.rows + size.samples) * size.positions * size.fan_out * size.fan_in
        return forming + size.n**2 * size.rows / 2 + size.n**3 / 6

    def numbers(self, size: LayerSize) -> float:
        return 2.0 * size.n**2 + size.rows * size.n

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass, workspace_bytes: float) -> Direction:
        matrix, gradient = layer_metric(backend, rows, mass)
        direction, health = solve_definite(backend, matrix, gradient)
        return as_direction(backend, rows, gradient, direction, health)


def layer_metric(backend: Backend, rows: LayerRows, mass: Mass) -> tuple[Array, Array]:
    """G = M + VᵀV of shape (n, n), and the gradient (n,), in the order weight then bias."""
    factor, gradient, entries = layer_matrices(backend, rows, mass)
    return factor.T @ factor + backend.eye(entries.shape[0]) * entries, gradient
