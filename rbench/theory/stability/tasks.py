"""Modules with one output, and data on a sphere."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from rbench.modules import Linear, Module, Tanh
from rbench.random import generator
from rbench.spec import Configurable
from rbench.theory.flow import Matrix, Vector

INPUTS = 10
"""Numbers of an input; inputs are uniform on the sphere of radius √10."""


class Task(Configurable):
    """A module with one output, and targets without noise: the outputs of a random network of eight tanh units.

    Attributes:
        linear: whether the outputs are linear in the weights.
    """

    linear: ClassVar[bool] = False

    @property
    @abstractmethod
    def network(self) -> Module:
        """The module."""

    def data(self, n: int, others: int, seed: int) -> tuple[Matrix, Vector]:
        """The data of S, n of them, then others: inputs (n + others, …) and targets (n + others,).

        With the same seed, a larger S has the data of a smaller one, and the others are the same.
        """
        random, of_teacher = generator(seed, "data"), generator(seed, "data", 1)
        x = random.normal(size=(n + others, INPUTS))
        x *= (INPUTS**0.5 / np.linalg.norm(x, axis=1))[:, None]
        x = np.roll(x, -others, axis=0)
        inner = of_teacher.normal(size=(INPUTS, 8)) * (4 / INPUTS) ** 0.5
        y: Vector = np.tanh(x @ inner) @ of_teacher.normal(size=8) / 8**0.5
        return self.inputs(x, seed), y

    def inputs(self, x: Matrix, seed: int) -> Matrix:
        """What the module is given for points x of the sphere."""
        return x


class RandomFeatures(Task):
    """A linear module on random features √(2/P) cos(ω·x + b) (Rahimi and Recht 2007), ω ~ N(0, I/10).

    Attributes:
        features: their number P, which is that of the weights.
    """

    name: ClassVar[str] = "random-features"
    summary: ClassVar[str] = "a linear module on random cosine features"
    linear: ClassVar[bool] = True
    features: int = Field(256, ge=1)

    @property
    def network(self) -> Module:
        return Linear(self.features, 1, bias=False)

    def inputs(self, x: Matrix, seed: int) -> Matrix:
        random = generator(seed, "data", 2)
        frequencies = random.normal(size=(INPUTS, self.features)) / INPUTS**0.5
        phases = random.uniform(0, 2 * np.pi, self.features)
        found: Matrix = np.cos(x @ frequencies + phases) * (2 / self.features) ** 0.5
        return found


class TanhNetwork(Task):
    """A network of one hidden layer, 10-64-1.

    Attributes:
        hidden: size of the hidden layer.
    """

    name: ClassVar[str] = "tanh"
    summary: ClassVar[str] = "a tanh network of one hidden layer"
    hidden: int = Field(64, ge=1)

    @property
    def network(self) -> Any:
        return Linear(INPUTS, self.hidden) >> Tanh() >> Linear(self.hidden, 1)
