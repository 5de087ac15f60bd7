"""`deep-linear`: a linear map through many linear layers."""

import numpy as np
from pydantic import Field

from rbench.modules import Module
from rbench.tasks.base import Target
from rbench.tasks.networks import MOST_LAYERS, mlp
from rbench.tasks.synthetic import Pair, Synthetic, orthogonal, spectrum


class DeepLinear(Synthetic):
    """Fit y = U S Vᵀ x, x ~ N(0, I), by a product of matrices (Saxe, McClelland and Ganguli 2014).

    U and V are random rotations, or their first columns, and S has singular values from 1 down to 1/condition, evenly
    spaced in their logarithm. The map is linear in x but the loss is not convex in the weights: gradient descent finds
    one singular value after the other, between plateaus.

    Attributes:
        features: size of x.
        outputs: size of y.
        depth: number of linear layers.
        width: width of the hidden layers.
        condition: condition number of the map.
    """

    name = "deep-linear"
    summary = "a deep linear network fits a linear map with a spread spectrum"
    loss = "squared_error"
    epochs = 20
    target = Target("test_squared_error", 1e-5)
    features: int = Field(20, ge=1)
    outputs: int = Field(10, ge=1)
    depth: int = Field(4, ge=1, le=MOST_LAYERS)
    width: int = Field(32, ge=1)
    condition: float = Field(100.0, ge=1)

    def network(self) -> Module:
        return mlp((self.features, *(self.depth - 1) * (self.width,), self.outputs), "identity")

    def data_bytes(self) -> int:
        return self.bytes_of(self.features + self.outputs, max(self.features, self.outputs) ** 2)

    def draw(self, problem: np.random.Generator, data: np.random.Generator, n: int) -> Pair:
        rank = min(self.features, self.outputs)
        right = orthogonal(problem, self.features)[:, :rank]
        left = orthogonal(problem, self.outputs)[:, :rank]
        x = data.standard_normal((n, self.features))
        return x, (x @ right * spectrum(rank, self.condition)) @ left.T
