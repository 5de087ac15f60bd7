"""The predicted cost of a solve: multiply-add pairs, and numbers held at once.

A layer has e examples of p positions and k rows of V each, i inputs and o outputs: r = e k rows and n = o (i [+1])
numbers.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from rbench.modules import LayerPullback


@dataclass(frozen=True)
class LayerSize:
    """The sizes that a solver's cost depends on.

    Attributes:
        examples: data, or 1 where the batch is treated by its mean.
        positions: positions per example.
        rank: rows of V per example.
        fan_in: inputs per position, without the bias's 1.
        fan_out: outputs per position.
        bias: whether there is a bias.
        rescaled: whether V's rows are rescaled rows of the gradient.
    """

    examples: int
    positions: int
    rank: int
    fan_in: int
    fan_out: int
    bias: bool
    rescaled: bool = False

    @property
    def rows(self) -> int:
        """Rows of V."""
        return self.examples * self.rank

    @property
    def n(self) -> int:
        """Numbers in the layer's block."""
        return self.fan_out * (self.fan_in + self.bias)

    @property
    def points(self) -> int:
        """Positions of all examples."""
        return self.examples * self.positions

    @property
    def product(self) -> int:
        """Multiply-add pairs of a weight product."""
        return self.points * self.fan_out * self.fan_in

    def without_bias(self) -> "LayerSize":
        """The same with the bias's 1 among the inputs."""
        return replace(self, fan_in=self.fan_in + self.bias, bias=False)

    @classmethod
    def of(cls, layer: LayerPullback) -> "LayerSize":
        """The sizes of a layer with a metric."""
        examples, positions, fan_in = layer.source.shape
        rank = layer.unscaled_rows.shape[1]
        return cls(examples, positions, rank, fan_in, layer.fan_out, layer.bias, layer.scale is not None)


class Cost(NamedTuple):
    """The predicted cost of one way to solve, in multiply-add pairs and in numbers.

    Attributes:
        operations: pairs beyond the pullback, for the gradient that was pulled back with the metric.
        numbers: numbers held at once beyond inputs, pulled-back rows, gradient and direction.
        factoring: pairs of the metric's factorisation alone.
        applying: pairs of solving with a factored metric for a gradient that is formed.
        kept: numbers of a factored metric.
        staying: of `numbers`, those that stay until all layers are solved, where these are coupled.
    """

    operations: float
    numbers: float
    factoring: float
    applying: float
    kept: float
    staying: float


def positions_cost(size: LayerSize) -> Cost:
    """With Gram matrices of inputs and of cotangents at all positions: (e p)² products of inputs."""
    rows = size.rows * size.positions
    grams = size.points**2 * (size.fan_in + size.bias) + rows**2 * size.fan_out
    factoring = grams / 2 + size.rows**3 / 6
    of_gradient = 0 if size.rescaled else rows * size.points * size.fan_out
    vectors = size.points * size.fan_in + (rows + size.points) * size.fan_out
    numbers = 2.0 * rows**2 + 2 * size.points**2 + 2 * size.rows**2 + vectors
    return _capacitance_cost(size, factoring + of_gradient + size.rows**2 + size.product, numbers, factoring)


def channels_cost(size: LayerSize, channels: int) -> Cost:
    """With V formed for some outputs at a time: r²/2 products of V's rows."""
    forming = size.rows * size.positions * size.fan_out * size.fan_in
    factoring = forming + size.n * size.rows * (size.rows / 2 + 1) + size.rows**3 / 6
    # Rescaled gradients are summed from the rows; other gradients are a product of their own.
    of_gradient = 0 if size.rescaled else size.product
    directing = size.n * size.rows if channels >= size.fan_out else size.product
    numbers = channels * channel_numbers(size) + 2.0 * size.rows**2
    return _capacitance_cost(size, factoring + of_gradient + directing + size.rows**2, numbers, factoring)


def channel_numbers(size: LayerSize) -> float:
    """Numbers held per output whose columns of V are formed: cotangents, columns, and columns over √M."""
    return size.rows * (size.positions + 2.0 * (size.fan_in + size.bias))


def metric_cost(size: LayerSize, cubic: float, matrices: float) -> Cost:
    """With the metric formed, (n, n), then factored in `cubic` · n³ pairs; `matrices` of its size are held at once."""
    forming = (size.rows + size.examples) * size.positions * size.fan_out * size.fan_in
    factoring = forming + size.n**2 * size.rows / 2 + cubic * size.n**3
    numbers = matrices * size.n**2 + size.rows * size.n
    applying = kept = float(size.n**2)
    return Cost(factoring, numbers, factoring, applying, kept, staying=numbers / 2)


def _capacitance_cost(size: LayerSize, operations: float, numbers: float, factoring: float) -> Cost:
    """With the capacitance (r, r) factored."""
    rows = size.rows * size.positions * size.fan_out
    applying = 2 * size.product + 2 * rows + size.rows**2
    kept = size.rows**2 + rows + size.points * size.fan_in
    return Cost(operations, numbers, factoring, applying, kept, staying=numbers / 2)
