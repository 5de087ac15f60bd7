"""Networks with parameters and data, small enough for a dense oracle and well conditioned for float32.

All have batches of six, and three outputs where a loss follows, so that backends compile few shapes.
"""

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np

from rbench.losses import Loss, get_loss
from rbench.losses.dense import Numbers
from rbench.modules import (
    GELU,
    Add,
    AvgPool2d,
    Conv2d,
    Copy,
    Dot,
    Equilibrium,
    Exp,
    Flatten,
    Identity,
    JetLinear,
    JetTanh,
    Linear,
    MaxPool2d,
    Module,
    Params,
    ReLU,
    ScaleShift,
    Sigmoid,
    Split,
    Tanh,
)
from rbench.plugins import plugins
from rbench.random import generator
from rbench.testing.oracle import Evaluation

LOSSES = ("cross_entropy", "squared_error", "binary_cross_entropy")
"""Losses that the tables of cases name."""

BATCH, WIDTH, OUTPUTS = 6, 4, 3
SEED = 4
"""Of all random numbers; no draw is so close to its threshold, or ReLU or MaxPool2d to a kink, that rounding
matters."""

FIXED = ((2.0, 0.3, 0.1), (0.3, 1.0, -0.2), (0.1, -0.2, 0.5))
"""A positive definite output metric."""

Table: TypeAlias = dict[str, tuple[Module, tuple[tuple[int, ...], ...]]]
"""Modules with the shapes of their inputs, one per wire."""

_VECTOR = ((WIDTH,),)
_IMAGE = ((2, 5, 4),)
_JET = ((4, 2),)
MODULES: Table = {
    "Linear": (Linear(4, 3), _VECTOR),
    "Linear without bias": (Linear(4, 3, bias=False), _VECTOR),
    "Tanh": (Tanh(), _VECTOR),
    "ReLU": (ReLU(), _VECTOR),
    "Sigmoid": (Sigmoid(), _VECTOR),
    "GELU": (GELU(), _VECTOR),
    "Exp": (Exp(), _VECTOR),
    "Tanh of a matrix": (Tanh(), ((2, 2),)),
    "Identity": (Identity(), _VECTOR),
    "Copy": (Copy(), _VECTOR),
    "Add": (Add(), (*_VECTOR, *_VECTOR)),
    "Dot": (Dot(), ((2, 2), (2, 2))),
    "Split": (Split(1), ((2, 3),)),
    "Flatten": (Flatten(), ((2, 2),)),
    "parallel of three": (Linear(4, 3) * (Linear(4, 5) >> Tanh()) * Identity(), (*_VECTOR, *_VECTOR, (2, 2))),
    "wires that split and join": (Add() * Copy() >> Identity() * Add() >> Linear(4, 3) * Sigmoid(), 3 * _VECTOR),
    "Conv2d": (Conv2d(2, 3, 3, padding=1), _IMAGE),
    "Conv2d, a stride that leaves a rest": (Conv2d(2, 3, 3, stride=2, padding=1), _IMAGE),
    "Conv2d, a stride above the kernel": (Conv2d(2, 2, 2, stride=3), ((2, 6, 4),)),
    "Conv2d, a kernel above the image": (Conv2d(1, 2, 4, padding=2), ((1, 3, 2),)),
    "Conv2d of single pixels without bias": (Conv2d(2, 3, 1, stride=2, bias=False), _IMAGE),
    "AvgPool2d": (AvgPool2d(2), ((2, 3, 5),)),
    "MaxPool2d": (MaxPool2d(2), ((2, 3, 5),)),
    "Equilibrium": (Equilibrium(4, 3), _VECTOR),
    "Equilibrium without bias": (Equilibrium(4, 3, bias=False), _VECTOR),
    "JetLinear": (JetLinear(2, 3), _JET),
    "JetTanh": (JetTanh(), _JET),
    "ScaleShift": (ScaleShift(4), _VECTOR),
    "ScaleShift of images": (ScaleShift(2), _IMAGE),
}

NETWORKS: Table = {
    "residual": (Linear(4, 4) >> Copy() >> ((Linear(4, 4) >> Tanh()) * Identity()) >> Add() >> Linear(4, 3), _VECTOR),
    "one layer": (Tanh() >> Linear(4, 3), _VECTOR),
    "branches": (Copy() >> ((Linear(4, 3) >> Sigmoid()) * (Linear(4, 2) >> ReLU() >> Linear(2, 3))) >> Add(), _VECTOR),
    "no bias": (Linear(4, 5) >> Tanh() >> Linear(5, 3, bias=False), _VECTOR),
    "flatten": (Flatten() >> Linear(4, 5) >> GELU() >> Linear(5, 3), ((2, 2),)),
    "exponentials": (Linear(4, 5, bias=False) >> Exp() >> Linear(5, 3), _VECTOR),
    "wide": (Linear(20, 16) >> Tanh() >> Linear(16, 3), ((20,),)),
    "implicit": (Linear(4, 4) >> Equilibrium(4, 5) >> Linear(5, 3), _VECTOR),
    "jets": (
        Split(2) >> ((JetLinear(2, 3) >> JetTanh() >> JetLinear(3, 1)) * Identity()) >> Dot() >> Linear(1, 3),
        ((4, 3),),
    ),
    "two wires": (Linear(4, 3) * (Linear(4, 5) >> Tanh() >> Linear(5, 3)) >> Add(), 2 * _VECTOR),
}
"""Networks with one output of three numbers, and the shapes of their inputs."""

CONVOLUTIONS: Table = {
    "strided images": (
        Conv2d(2, 4, 3, stride=2, padding=1) >> Tanh() >> Conv2d(4, 4, 2) >> Flatten() >> Linear(8, 3),
        _IMAGE,
    ),
    "residual images": (
        Copy()
        >> ((Conv2d(2, 2, 3, padding=1) >> Tanh() >> Conv2d(2, 2, 3, padding=1)) * Identity())
        >> (Add() >> AvgPool2d(2) >> Flatten() >> Linear(8, 3)),
        _IMAGE,
    ),
    "largest pixels": (
        Conv2d(2, 3, 2, bias=False) >> ScaleShift(3) >> MaxPool2d(2) >> Flatten() >> Linear(6, 3),
        _IMAGE,
    ),
}
"""The same with layers of several positions. In the first one the Gram solver takes one convolution by output channels,
the other by positions."""

CLASSES: Table = {
    f"{d} outputs": (Linear(4, 5, bias=False) >> Tanh() >> Linear(5, d, bias=False), _VECTOR) for d in (10, 2, OUTPUTS)
}
"""Networks with different numbers of outputs, which grow in size with the inputs."""


@dataclass(frozen=True, eq=False)
class Example(Evaluation):
    """A network, its parameters in float64, and a batch.

    Attributes:
        name: what it is called.
        targets: targets for every loss.
        sizes: factors of the inputs that `drawn` returns, one per datum, (batch,).
    """

    name: str
    targets: dict[str, Numbers]
    sizes: tuple[float, ...] = BATCH * (1.0,)

    def drawn(self, rng: np.random.Generator, steps: int) -> tuple[Numbers, ...]:
        """Other inputs like these, for some steps: (steps, batch, *shape), one array per wire."""
        wires = (rng.normal(size=(steps, *wire.shape)) for wire in self.x)
        return tuple(wire * np.reshape(self.sizes, (-1, *(1,) * (wire.ndim - 2))) for wire in wires)

    @property
    def d(self) -> int:
        """Size of the network's output."""
        return int(self.outputs.shape[1])

    def loss_gradients(self, loss: str) -> list[Numbers]:
        """Every layer's gradient (n,), for the loss's targets."""
        return self.gradients(loss, self.targets[loss])


@cache
def example(name: str, scale: float = 1.0) -> Example:
    """The example called `name` in the tables; `scale` multiplies its parameters, for confident outputs."""
    net, shapes = (MODULES | NETWORKS | CONVOLUTIONS | CLASSES)[name]
    rng = generator(SEED, "data")
    x = tuple(rng.normal(size=(BATCH, *shape)) for shape in shapes)
    params = draw_params(net, rng, scale)
    d = CLASSES[name][0].layers[-1].fan_out if name in CLASSES else OUTPUTS
    return Example(net, params, x, name, draw_targets((BATCH,), rng, d))


def draw_params(net: Module, rng: np.random.Generator, scale: float = 1.0) -> Params:
    """Normal weights of variance 1/fan_in and normal biases of variance 1/4, times `scale`."""
    return tuple(
        {
            name: scale * rng.normal(size=shape) / (layer.fan_in**0.5 if name == "weight" else 2)
            for name, shape in layer.shapes.items()
        }
        for layer in net.layers
    )


def draw_targets(shape: tuple[int, ...], rng: np.random.Generator, d: int = OUTPUTS) -> dict[str, Numbers]:
    """Targets of d outputs for every registered loss, arrays (*shape) of labels or (*shape, d)."""
    names = dict.fromkeys((*LOSSES, *plugins().registered("losses")))  # first those that the tables rely on
    return {name: _targets(get_loss(name), shape, rng, d) for name in names}


def _targets(loss: Loss, shape: tuple[int, ...], rng: np.random.Generator, d: int) -> Numbers:
    """Labels, or numbers within the loss's bounds: uniform between two, half-normal from one, or else normal."""
    if loss.integer_targets:
        return rng.integers(0, d, shape)
    least, most = loss.bounds.least, loss.bounds.most
    if np.isfinite(least) and np.isfinite(most):
        return np.asarray(least + (most - least) * rng.random((*shape, d)))
    numbers: Numbers = rng.normal(size=(*shape, d))
    if np.isfinite(least):
        return np.asarray(least + abs(numbers))
    return np.asarray(most - abs(numbers)) if np.isfinite(most) else numbers
