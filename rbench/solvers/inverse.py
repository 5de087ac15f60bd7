"""`inverse`: the naive baseline, G⁻¹ formed explicitly."""

from rbench.backend import Backend
from rbench.metrics import LayerRows, Mass
from rbench.solvers.base import Direction, LayerSize, Solver
from rbench.solvers.dense import layer_metric
from rbench.solvers.rows import as_direction


class Inverse(Solver):
    """Δ = G⁻¹ g with G and its inverse in memory: O(n³) time, O(n²) memory."""

    name = "inverse"

    def operations(self, size: LayerSize) -> float:
        forming = (size.rows + size.samples) * size.positions * size.fan_out * size.fan_in
        return forming + size.n**2 * size.rows / 2 + size.n**3

    def numbers(self, size: LayerSize) -> float:
        return 3.0 * size.n**2 + size.rows * size.n

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass, workspace_bytes: float) -> Direction:
        matrix, gradient = layer_metric(backend, rows, mass)
        inverse = backend.inverse(matrix)
        return as_direction(backend, rows, gradient, inverse @ gradient, inverse[0, 0] + inverse[-1, -1])
