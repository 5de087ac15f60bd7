"""`inverse`: the naive baseline, G⁻¹ formed explicitly."""

from rbench.backend import Backend
from rbench.metrics import LayerRows, Mass
from rbench.modules.inputs import Inputs
from rbench.solvers.base import Block, Direction, Factored, Form, LayerSize
from rbench.solvers.dense import layer_metric
from rbench.solvers.rows import as_direction, flat_gradient


class Inverse(Form):
    """Δ = G⁻¹ g with G and its inverse in memory: O(n³) time, O(n²) memory."""

    name = "inverse"

    def operations(self, size: LayerSize) -> float:
        forming = (size.rows + size.samples) * size.positions * size.fan_out * size.fan_in
        return forming + size.n**2 * size.rows / 2 + size.n**3

    def factoring(self, size: LayerSize) -> float:
        return self.operations(size)

    def applying(self, size: LayerSize) -> float:
        return float(size.n**2)

    def kept_numbers(self, size: LayerSize) -> float:
        return float(size.n**2)

    def numbers(self, size: LayerSize) -> float:
        return 3.0 * size.n**2 + size.rows * size.n

    def factor(self, backend: Backend, rows: LayerRows, mass: Mass) -> Factored:
        matrix, gradient = layer_metric(backend, rows, mass)
        inverse = backend.inverse(matrix)
        return Factored(inverse, gradient[:0], gradient[:0], inverse[0, 0] + inverse[-1, -1])

    def solve_with(
        self, backend: Backend, factored: Factored, source: Inputs, mass: Mass, gradient: Block
    ) -> Direction:
        flat = flat_gradient(backend, gradient)
        return as_direction(backend, flat, factored.matrix @ flat, gradient[0].shape, factored.health)

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass) -> Direction:
        matrix, gradient = layer_metric(backend, rows, mass)
        inverse = backend.inverse(matrix)
        shape = rows.rows.shape[3], rows.source.shape[2]
        return as_direction(backend, gradient, inverse @ gradient, shape, inverse[0, 0] + inverse[-1, -1])
