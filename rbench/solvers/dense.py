"""`dense` and `inverse`: form the layer metric G, and solve with its Cholesky factor or its inverse."""

from abc import abstractmethod

from rbench.backend import Array, Backend
from rbench.metrics import Mass
from rbench.modules import LayerPullback, Weights
from rbench.modules.inputs import Inputs
from rbench.solvers.base import Direction, Factored, Form, health_of, inner_product, solve_cholesky
from rbench.solvers.cost import Cost, LayerSize, metric_cost
from rbench.solvers.rows import row_matrix


class _OfMetric(Form):
    """Solve (M + VᵀV) Δ = g with the (n, n) matrix in memory."""

    @abstractmethod
    def prepare(self, backend: Backend, metric: Array) -> Array:
        """The matrix to solve with, made from G."""

    @abstractmethod
    def apply(self, backend: Backend, matrix: Array, rhs: Array) -> Array:
        """G⁻¹ rhs, (n, 1), with that matrix."""

    def factor(self, backend: Backend, layer: LayerPullback, mass: Mass) -> Factored:
        matrix = self.prepare(backend, layer_metric(backend, layer, mass))
        return Factored(matrix, matrix[:0, 0], matrix[:0, 0])

    def solve(self, backend: Backend, factored: Factored, source: Inputs, mass: Mass, gradient: Weights) -> Direction:
        xp = backend.xp
        weight, bias = gradient
        flat = xp.concat([xp.reshape(part, (-1,)) for part in gradient if part is not None])
        solution = self.apply(backend, factored.matrix, flat[:, None])[:, 0]
        size = weight.shape[0] * weight.shape[1]
        direction = xp.reshape(solution[:size], weight.shape), None if bias is None else solution[size:]
        return Direction(direction, lambda: inner_product(backend, gradient, direction), health_of(factored.matrix))


class Dense(_OfMetric):
    """Solve with the Cholesky factor; cheapest where n is below the number of V's rows."""

    name = "dense"

    def cost(self, size: LayerSize) -> Cost:
        return metric_cost(size, cubic=1 / 6, matrices=2.0)

    def prepare(self, backend: Backend, metric: Array) -> Array:
        return backend.cholesky(metric)

    def apply(self, backend: Backend, matrix: Array, rhs: Array) -> Array:
        return solve_cholesky(backend, matrix, rhs)


class Inverse(_OfMetric):
    """The naive baseline, with G⁻¹ formed: O(n³) time, O(n²) memory."""

    name = "inverse"

    def cost(self, size: LayerSize) -> Cost:
        return metric_cost(size, cubic=1.0, matrices=3.0)

    def prepare(self, backend: Backend, metric: Array) -> Array:
        return backend.inverse(metric)

    def apply(self, backend: Backend, matrix: Array, rhs: Array) -> Array:
        return matrix @ rhs


def layer_metric(backend: Backend, layer: LayerPullback, mass: Mass) -> Array:
    """G = M + VᵀV of shape (n, n), in the order weight then bias (Sec. 3.1 of arXiv 2603.03610)."""
    xp = backend.xp
    rows = layer.factor_rows
    weights = row_matrix(backend, layer.inputs, rows)
    count, fan_out, fan_in = weights.shape
    of_weight, of_bias = mass.entries(0, fan_out)
    zeros = xp.zeros((fan_out, fan_in), dtype=backend.float_dtype, device=backend.native_device)
    factor = [xp.reshape(weights, (count, -1))]
    entries = [xp.reshape(zeros + of_weight, (-1,))]
    if layer.bias:
        factor.append(xp.reshape(xp.sum(rows, axis=2), (count, fan_out)))
        entries.append(zeros[:, 0] + of_bias)
    v = xp.concat(factor, axis=1)
    diagonal = xp.concat(entries)
    return v.T @ v + backend.eye(diagonal.shape[0]) * diagonal
