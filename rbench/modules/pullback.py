"""The result of a pullback at one layer: the layer's inputs, and the cotangents at its outputs."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from rbench.backend import Array, Backend
from rbench.modules.inputs import Inputs

Weights: TypeAlias = tuple[Array, Array | None]
"""Numbers in the shape of a layer's parameters: weights (fan_out, fan_in), and biases (fan_out,) or None."""


@dataclass(frozen=True)
class LayerPullback:
    """A layer's gradient g and metric factor V, as products of its inputs and of cotangents at its outputs.

    Row (e, k) of the cotangents pulls back to Σ_t cotangents[e, k, t] ⊗ [inputs[e, t]; 1] on the weights, the 1 where
    the layer has a bias (Ex. 1 of arXiv 2603.03610 is the case of one position). Where a loss and a metric are pulled
    back together, the first row is the loss's, and g is the sum of its pullbacks over all examples; the other rows pull
    back to the rows of V (Remark 4). An example e is a datum; with `batch=mean` the whole batch is one example, and its
    data are positions.

    Attributes:
        backend: the arrays' backend.
        source: the layer's inputs.
        cotangents: rows at the layer's outputs, (examples, rows, positions, fan_out).
        bias: whether the layer has a bias.
        scale: (examples,), where V's rows are the loss's rows times this, and there are no other rows; else None.
    """

    backend: Backend
    source: Inputs
    cotangents: Array
    bias: bool
    scale: Array | None = None

    @property
    def inputs(self) -> Array:
        """The inputs as a matrix, (examples, positions, fan_in)."""
        return self.source.matrix

    @property
    def fan_out(self) -> int:
        """Number of outputs per position."""
        return int(self.cotangents.shape[3])

    @property
    def width(self) -> int:
        """Number of inputs per position, with the bias's 1."""
        return int(self.source.shape[2]) + self.bias

    @property
    def gradient_rows(self) -> Array:
        """The loss's cotangents, (examples, positions, fan_out)."""
        return self.cotangents[:, 0, :, :]

    @property
    def unscaled_rows(self) -> Array:
        """V's rows before they are multiplied by `scale`, (examples, rank, positions, fan_out)."""
        return self.cotangents[:, 1:, :, :] if self.scale is None else self.cotangents

    @property
    def factor_rows(self) -> Array:
        """V's rows, (examples, rank, positions, fan_out)."""
        return self.unscaled_rows if self.scale is None else self.cotangents * self.scale[:, None, None, None]

    def weighted(self, weight: float) -> "LayerPullback":
        """The same gradient, and V's rows times the root of a weight."""
        if weight == 1:
            return self
        if self.scale is not None:
            return replace(self, scale=self.scale * weight**0.5)
        rows = self.backend.xp.concat([self.cotangents[:, :1, :, :], self.unscaled_rows * weight**0.5], axis=1)
        return replace(self, cotangents=rows)

    def squares(self) -> Weights:
        """The diagonal of VᵀV, if every position's part of a row were a row of its own."""
        source = self.source.with_data(self.source.data**2)
        squares = self.backend.xp.sum(self.factor_rows**2, axis=1)
        return source.product(squares), self.backend.xp.sum(squares, axis=(0, 1)) if self.bias else None

    def gradient(self) -> Weights:
        """Form g, by a weight product."""
        return self.product(self.gradient_rows)

    def coefficients(self, weights: Array) -> Array:
        """Coefficients (examples, rows) of `cotangents`, given weights (examples, rank) of `unscaled_rows`.

        A separate row of the loss has the coefficient 1.
        """
        if self.scale is not None:
            return weights
        xp = self.backend.xp
        return xp.concat([xp.ones_like(weights[:, :1]), weights], axis=1)

    def product(self, cotangents: Array) -> Weights:
        """The weight product Σ_(e,t) cotangents[e, t] ⊗ [inputs[e, t]; 1], for (examples, positions, fan_out)."""
        bias = self.backend.xp.sum(cotangents, axis=(0, 1)) if self.bias else None
        return self.source.product(cotangents), bias

    def one_example(self) -> "LayerPullback":
        """The batch as one example, with its data as positions; only for rows without `scale`."""
        xp = self.backend.xp
        batch, count, positions, fan_out = self.cotangents.shape
        rows = xp.reshape(xp.permute_dims(self.cotangents, (1, 0, 2, 3)), (1, count, batch * positions, fan_out))
        return LayerPullback(self.backend, self.source.one_example(self.backend), rows, self.bias)


def as_matrix(backend: Backend, weights: Weights) -> Array:
    """Weights with the bias as a last column, (fan_out, fan_in [+1])."""
    weight, bias = weights
    return weight if bias is None else backend.xp.concat([weight, bias[:, None]], axis=1)


def as_weights(matrix: Array, *, bias: bool) -> Weights:
    """What `as_matrix` was made of."""
    return (matrix[:, :-1], matrix[:, -1]) if bias else (matrix, None)
