"""`dense` and `inverse`: form the layer metric G, and solve with its Cholesky factor or its inverse."""

from abc import abstractmethod

from rbench.backend import Array, Backend
from rbench.metrics import AnyMass, FactoredMass
from rbench.modules import LayerPullback
from rbench.modules.inputs import Inputs
from rbench.solvers.base import AnyGradient, Direction, Factored, Form, health_of, solve_cholesky
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

    def factor(self, backend: Backend, layer: LayerPullback, mass: AnyMass) -> Factored:
        matrix = self.prepare(backend, layer_metric(backend, layer, mass))
        return Factored(matrix, matrix[:0, 0], matrix[:0, 0])

    def solve(
        self, backend: Backend, factored: Factored, source: Inputs, mass: AnyMass, gradient: AnyGradient
    ) -> Direction:
        xp = backend.xp
        weight, bias = gradient.formed()
        flat = xp.concat([xp.reshape(part, (-1,)) for part in (weight, bias) if part is not None])
        solution = self.apply(backend, factored.matrix, flat[:, None])[:, 0]
        size = weight.shape[0] * weight.shape[1]
        direction = xp.reshape(solution[:size], weight.shape), None if bias is None else solution[size:]
        return Direction(direction, lambda: gradient.slope(direction), health_of(factored.matrix))


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


def layer_metric(backend: Backend, layer: LayerPullback, mass: AnyMass) -> Array:
    """G = M + VᵀV of shape (n, n), in the order weight then bias (Sec. 3.1 of arXiv 2603.03610)."""
    xp = backend.xp
    fan_out, fan_in = layer.fan_out, int(layer.source.shape[2])
    v = layer_factor(backend, layer)
    metric = v.T @ v
    if isinstance(mass, FactoredMass):
        return metric + _kronecker(backend, mass, fan_in)
    zeros = xp.zeros((fan_out, fan_in), dtype=backend.float_dtype, device=backend.native_device)
    of_weight, of_bias = mass.entries(0, fan_out)
    diagonal = xp.reshape(zeros + of_weight, (-1,))
    if layer.bias:
        diagonal = xp.concat([diagonal, zeros[:, 0] + of_bias])
    return metric + backend.eye(diagonal.shape[0]) * diagonal


def layer_factor(backend: Backend, layer: LayerPullback) -> Array:
    """V of shape (rows, n), in the order weight then bias."""
    xp = backend.xp
    rows = layer.factor_rows
    weights = row_matrix(backend, layer.inputs, rows)
    count, fan_out, _ = weights.shape
    factor = [xp.reshape(weights, (count, -1))]
    if layer.bias:
        factor.append(xp.reshape(xp.sum(rows, axis=2), (count, fan_out)))
    return xp.concat(factor, axis=1)


def _kronecker(backend: Backend, mass: FactoredMass, fan_in: int) -> Array:
    """M of shape (n, n), in the order weight then bias."""
    xp = backend.xp
    of_outputs = backend.inverse(mass.outputs)
    of_inputs = backend.inverse(mass.inputs)

    def block(inputs: slice, others: slice) -> Array:
        a = of_inputs[inputs, others]
        entries = of_outputs[:, None, :, None] * a[None, :, None, :]
        o, i, _, j = entries.shape
        return xp.reshape(entries, (o * i, o * j))

    weights = slice(0, fan_in)
    bias = slice(fan_in, None)
    both = [xp.concat([block(one, weights), block(one, bias)], axis=1) for one in (weights, bias)]
    return xp.concat(both, axis=0)
