"""The predicted cost of a solve: multiply-add pairs, and numbers held at once.

A layer has s samples of p positions and k rows of V each, i inputs and o outputs: r = s k rows and n = o (i [+1])
numbers.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from rbench.modules import LayerPullback


@dataclass(frozen=True)
class LayerSize:
    """The sizes that a solver's cost depends on.

    Attributes:
        samples: data, or 1 where the batch is treated by its mean.
        positions: positions per sample.
        rank: rows of V for each sample.
        fan_in: inputs per position, without the bias's 1.
        fan_out: outputs per position.
        bias: whether there is a bias.
        rescaled: whether V's rows are rescaled rows of the gradient.
    """

    samples: int
    positions: int
    rank: int
    fan_in: int
    fan_out: int
    bias: bool
    rescaled: bool = False

    @property
    def rows(self) -> int:
        """Rows of V."""
        return self.samples * self.rank

    @property
    def n(self) -> int:
        """Numbers in the layer's block."""
        return self.fan_out * (self.fan_in + self.bias)

    @property
    def points(self) -> int:
        """Positions of all samples."""
        return self.samples * self.positions

    @property
    def product(self) -> int:
        """Multiply-add pairs of a weight product."""
        return self.points * self.fan_out * self.fan_in

    @classmethod
    def of(cls, layer: LayerPullback) -> "LayerSize":
        """The sizes of a layer with a metric."""
        samples, positions, fan_in = layer.source.shape
        rank = layer.unscaled_rows.shape[1]
        return cls(samples, positions, rank, fan_in, layer.fan_out, layer.bias, layer.scale is not None)


class Cost(ABC):
    """The predicted cost of one way to solve."""

    @abstractmethod
    def operations(self, size: LayerSize) -> float:
        """Multiply-add pairs beyond the pullback, for the gradient that was pulled back with the metric."""

    @abstractmethod
    def numbers(self, size: LayerSize) -> float:
        """Numbers held at once beyond inputs, pulled-back rows, gradient and direction."""

    @abstractmethod
    def factoring(self, size: LayerSize) -> float:
        """Multiply-add pairs of the metric's factorisation alone."""

    @abstractmethod
    def applying(self, size: LayerSize) -> float:
        """Multiply-add pairs of solving with a factored metric for a gradient that is formed."""

    @abstractmethod
    def kept_numbers(self, size: LayerSize) -> float:
        """Numbers that a factored metric keeps between steps."""


class CapacitanceCost(Cost):
    """The cost of factoring the capacitance: r²/2 products of V's rows, and r³/6 for its Cholesky factor."""

    def applying(self, size: LayerSize) -> float:
        return 2 * size.product + 2 * size.rows * size.positions * size.fan_out + size.rows**2

    def kept_numbers(self, size: LayerSize) -> float:
        rows = size.rows * size.positions * size.fan_out
        return size.rows**2 + rows + size.points * size.fan_in


class PositionsCost(CapacitanceCost):
    """The cost with Gram matrices of inputs and cotangents at all positions: (s p)² products."""

    def operations(self, size: LayerSize) -> float:
        rows = size.rows * size.positions
        of_gradient = 0 if size.rescaled else rows * size.points * size.fan_out
        return self.factoring(size) + of_gradient + size.rows**2 + size.product

    def factoring(self, size: LayerSize) -> float:
        rows = size.rows * size.positions
        return (size.points**2 * (size.fan_in + size.bias) + rows**2 * size.fan_out) / 2 + size.rows**3 / 6

    def numbers(self, size: LayerSize) -> float:
        rows = size.rows * size.positions
        vectors = size.points * size.fan_in + (rows + size.points) * size.fan_out
        return 2.0 * rows**2 + 2 * size.points**2 + 2 * size.rows**2 + vectors


@dataclass(frozen=True)
class ChannelsCost(CapacitanceCost):
    """The cost of forming V for some outputs at a time.

    Attributes:
        name: the name of the solver that it belongs to.
        channels: outputs at a time.
    """

    name: str
    channels: int

    def operations(self, size: LayerSize) -> float:
        # Rescaled gradients are summed from the rows; other gradients are a product of their own.
        directing = size.n * size.rows if self.channels >= size.fan_out else size.product
        return self.factoring(size) + size.product * (not size.rescaled) + directing + size.rows**2

    def factoring(self, size: LayerSize) -> float:
        forming = size.rows * size.positions * size.fan_out * size.fan_in
        return forming + size.n * size.rows * (size.rows / 2 + 1) + size.rows**3 / 6

    def numbers(self, size: LayerSize) -> float:
        return self.channels * channel_numbers(size) + 2.0 * size.rows**2


def channel_numbers(size: LayerSize) -> float:
    """Numbers held for each output whose columns of V are formed: cotangents, columns, and columns over √M."""
    return size.rows * (size.positions + 2.0 * (size.fan_in + size.bias))


class MetricCost(Cost):
    """The cost of forming the metric itself, (n, n).

    Attributes:
        cubic: pairs of its factorisation or inversion, over n³.
        matrices: matrices of its size that are held at once.
    """

    cubic: float
    matrices: float

    def operations(self, size: LayerSize) -> float:
        return self.factoring(size)

    def factoring(self, size: LayerSize) -> float:
        forming = (size.rows + size.samples) * size.positions * size.fan_out * size.fan_in
        return forming + size.n**2 * size.rows / 2 + self.cubic * size.n**3

    def applying(self, size: LayerSize) -> float:
        return float(size.n**2)

    def numbers(self, size: LayerSize) -> float:
        return self.matrices * size.n**2 + size.rows * size.n

    def kept_numbers(self, size: LayerSize) -> float:
        return float(size.n**2)
