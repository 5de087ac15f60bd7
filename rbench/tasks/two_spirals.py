"""`two-spirals`: two classes that wind around each other."""

import numpy as np
from pydantic import Field

from rbench.modules import Module
from rbench.tasks.base import BatchSize, Target
from rbench.tasks.networks import Activation, Widths, mlp
from rbench.tasks.synthetic import Pair, Synthetic


class TwoSpirals(Synthetic):
    """Tell two intertwined spirals in the plane apart (Lang and Witbrock 1988).

    A point of class c is t (cos φ, sin φ) with φ = 2π turns t + π c, plus noise; t in [0, 1] has density 2t, which
    spreads the points evenly over the disc. Classes alternate.

    Attributes:
        turns: turns of each spiral; neighbouring arms are 1 / (2 turns) apart.
        noise: standard deviation of the noise added to either coordinate.
        hidden: sizes of the hidden layers.
        activation: between the layers.
    """

    name = "two-spirals"
    summary = "two intertwined spirals in the plane"
    loss = "cross_entropy"
    epochs = 100
    target = Target("test_accuracy", 0.95)
    n_train: int = Field(1000, ge=1)
    batch_size: BatchSize = 100
    turns: float = Field(1.5, gt=0)
    noise: float = Field(0.02, ge=0)
    hidden: Widths = (64, 64)
    activation: Activation = "tanh"

    def network(self) -> Module:
        return mlp((2, *self.hidden, 2), self.activation)

    def data_bytes(self) -> int:
        return self.bytes_of(3)

    def draw(self, problem: np.random.Generator, data: np.random.Generator, n: int) -> Pair:
        label = np.arange(n) % 2
        t = np.sqrt(data.random(n))
        angle = 2 * np.pi * self.turns * t + np.pi * label
        clean = t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return clean + self.noise * data.standard_normal((n, 2)), label
