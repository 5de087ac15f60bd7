"""`poisson`: a network solves a differential equation (physics-informed, Raissi, Perdikaris and Karniadakis 2019)."""

from itertools import pairwise
from math import pi
from typing import Any, TypeAlias

import numpy as np
from pydantic import Field

from rbench.modules import Dot, Identity, JetLinear, JetTanh, Module, Sequential, Split
from rbench.random import generator
from rbench.tasks.base import BatchSize, Target, Task
from rbench.tasks.dataset import Dataset, fingerprint
from rbench.tasks.networks import Widths

Array: TypeAlias = np.ndarray[Any, Any]

_BOUNDARY = 1


class Poisson(Task):
    """Solve −Δu = f on the unit cube with u = 0 on its boundary; u = Π_i sin(π x_i) for f = d π² Π_i sin(π x_i).

    A datum is a point x with a linear differential operator, whose value for the network's u is the output: −Δu inside,
    with target f, and u on the boundary, with target 0. Rows are weighted so that the mean loss is

        (1/2N) Σ (Δu + f)² + (1/2M) Σ u²

    over N points inside and M on the boundary. The test set asks for u inside: `test_squared_error` is the square of
    the L2 error. Data are the coordinates' jets (see `rbench.modules.jet`) beside the operator's coefficients, (d + 2,
    d + 1), and all training data are one batch. Equation and sizes are those of Dangel, Müller and Zeinhofer (2024,
    arXiv 2405.15603).

    Attributes:
        dimension: d.
        hidden: sizes of the hidden layers, with tanh.
        interior: N.
        boundary: M.
        n_test: points of the test set.
        data_seed: seed of the points, uniform in the cube and on its boundary.
    """

    name = "poisson"
    summary = "a network solves Poisson's equation on the unit cube"
    loss = "squared_error"
    published = False
    epochs = 1000
    target = Target("test_squared_error", 1e-8)
    batch_size: BatchSize = None
    dimension: int = Field(2, ge=1, le=1000)
    hidden: Widths = Field((64,), min_length=1)
    interior: int = Field(900, ge=1)
    boundary: int = Field(120, ge=1)
    n_test: int = Field(2000, ge=1)
    data_seed: int = Field(0, ge=0)

    def network(self) -> Module:
        first, *others = (JetLinear(a, b) for a, b in pairwise((self.dimension, *self.hidden, 1)))
        u = Sequential((first, *(module for layer in others for module in (JetTanh(), layer))))
        return Split(self.dimension) >> (u * Identity()) >> Dot()

    def data_bytes(self) -> int:
        points = self.interior + self.boundary + self.n_test
        return 8 * points * ((self.dimension + 2) * (self.dimension + 1) + 1)

    def load(self, allow_unofficial: bool) -> Dataset:
        inside, edge, test = (self._draw(part, n) for part, n in enumerate((self.interior, self.boundary, self.n_test)))
        n = len(inside) + len(edge)
        of_inside, of_edge = (n / len(inside)) ** 0.5, (n / len(edge)) ** 0.5
        source = self.dimension * pi**2 * _solution(inside)
        x = np.concatenate([_data(inside, -1, -of_inside), _data(edge, 0, of_edge)])
        y = np.concatenate([of_inside * source, np.zeros((len(edge), 1))])
        x_test, y_test = _data(test, 0, 1), _solution(test)
        return Dataset(x, y, x_test, y_test, fingerprint(x, y, x_test, y_test))

    def _draw(self, part: int, n: int) -> Array:
        """Points (n, d), uniform in the cube; or on its boundary, where one coordinate is 0 or 1."""
        rng = generator(self.data_seed, "data", part)
        points = rng.random((n, self.dimension))
        if part == _BOUNDARY:
            points[np.arange(n), rng.integers(0, self.dimension, n)] = rng.integers(0, 2, n)
        return points


def _solution(x: Array) -> Array:
    """u at points (n, d), (n, 1)."""
    u: Array = np.prod(np.sin(pi * x), axis=1, keepdims=True)
    return u


def _data(x: Array, component: int, coefficient: float) -> Array:
    """Jets of the coordinates at points (n, d), and an operator that is one component of a jet times a number.

    The jets are the rows x; I; 0, beside which the last column holds the operator's coefficients: (n, d + 2, d + 1).
    """
    n, d = x.shape
    data = np.zeros((n, d + 2, d + 1))
    data[:, 0, :d] = x
    data[:, 1:-1, :d] = np.eye(d)
    data[:, component, d] = coefficient
    return data
