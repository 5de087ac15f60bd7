"""`teacher-student`: a network learns the outputs of another one."""

from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from pydantic import Field

from rbench.modules import Module
from rbench.tasks.base import Target
from rbench.tasks.networks import Activation, Widths, mlp
from rbench.tasks.synthetic import Pair, Synthetic

Array: TypeAlias = np.ndarray[Any, Any]

GAIN = 2.0
REFERENCE = 4096


class TeacherStudent(Synthetic):
    """Fit the outputs of a random tanh network by a wider one (Saad and Solla 1995), x ~ N(0, I).

    The teacher has no biases and weights N(0, 4/fan_in), large enough to be nonlinear; each of its outputs is shifted
    and scaled to mean 0 and variance 1, both taken over 4096 inputs. With `noise` 0 the student can reach error 0.

    Attributes:
        features: size of x.
        outputs: size of y.
        teacher: sizes of the teacher's hidden layers.
        hidden: sizes of the student's hidden layers.
        activation: the student's activation.
        noise: standard deviation of the noise added to the targets.
    """

    name = "teacher-student"
    summary = "regression on the outputs of a smaller random network"
    loss = "squared_error"
    epochs = 20
    target = Target("test_squared_error", 0.02)
    n_train: int = Field(4000, ge=1)
    n_test: int = Field(1000, ge=1)
    features: int = Field(20, ge=1)
    outputs: int = Field(2, ge=1)
    teacher: Widths = (8,)
    hidden: Widths = (64,)
    activation: Activation = "tanh"
    noise: float = Field(0.0, ge=0)

    def network(self) -> Module:
        return mlp((self.features, *self.hidden, self.outputs), self.activation)

    def data_bytes(self) -> int:
        sizes = (self.features, *self.teacher, self.outputs)
        weights = sum(a * b for a, b in pairwise(sizes))
        return self.bytes_of(self.features + self.outputs, weights + REFERENCE * max(sizes))

    def draw(self, problem: np.random.Generator, data: np.random.Generator, n: int) -> Pair:
        sizes = (self.features, *self.teacher, self.outputs)
        weights = [problem.standard_normal((a, b)) * (GAIN / np.sqrt(a)) for a, b in pairwise(sizes)]
        reference = _forward(weights, problem.standard_normal((REFERENCE, self.features)))
        x = data.standard_normal((n, self.features))
        y = (_forward(weights, x) - reference.mean(axis=0)) / reference.std(axis=0)
        return x, y + self.noise * data.standard_normal((n, self.outputs))


def _forward(weights: list[Array], x: Array) -> Array:
    for weight in weights[:-1]:
        x = np.tanh(x @ weight)
    return x @ weights[-1]
