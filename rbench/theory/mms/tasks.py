"""What a task of minimizing movements has, and the regression on functions of one variable."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from rbench.backend import Backend
from rbench.modules import Module
from rbench.spec import Configurable
from rbench.tasks.networks import Widths, mlp
from rbench.theory.mms.energies import Energy, EnergyName, Values


class Points(ABC):
    """The points of a run."""

    @property
    def fixed(self) -> bool:
        """Whether they are the same in all outer steps, and those of reference."""
        return True

    @abstractmethod
    def at(self, k: int) -> tuple[Values, Values]:
        """Inputs (N, in) and the energy's targets (N, d) of outer step k."""

    def reference(self) -> tuple[Values, Values]:
        """Inputs and targets where the trajectory is compared with the exact one; those of the outer steps."""
        return self.at(0)

    def judged(self, function: Callable[[Values], Values]) -> tuple[dict[str, float], dict[str, Any]]:
        """Further figures of the last network, given as a function of inputs; and what is published of it."""
        return {}, {}


class MovementTask(Configurable):
    """A network, an energy, and the points at which both are taken.

    Attributes:
        tau: τ, the outer step.
        outer: the number of outer steps K.
        hidden: sizes of the network's hidden layers, with tanh.
    """

    tau: float = Field(1.0, gt=0)
    outer: PositiveInt = 30
    hidden: Widths = (32, 32)

    @property
    def data(self) -> str | None:
        """The SPEC of the registered task whose published data it reads, or None."""
        return None

    @abstractmethod
    def network(self) -> Module:
        """The network."""

    @abstractmethod
    def movement_energy(self) -> Energy:
        """E."""

    @abstractmethod
    def points(self, backend: Backend, seed: int) -> Points:
        """The points, drawn by a seed."""


_TARGETS: dict[str, tuple[Callable[[Values], Values], ...]] = {
    "smooth": (lambda x: np.sin(np.pi * x),),
    "step": (np.sign,),
    "stiff": (lambda x: np.sin(2 * np.pi * x) + np.sin(10 * np.pi * x) / 2,),
    "two_outputs": (lambda x: np.sin(np.pi * x), lambda x: np.cos(2 * np.pi * x)),
}


class NonlinearRegression(MovementTask):
    """A tanh network of one variable at equidistant points of [−1, 1], the same in each outer step.

    Attributes:
        target: `smooth`, sin πx; `step`, sign x; `stiff`, sin 2πx + ½ sin 10πx; `two_outputs`, sin πx and cos 2πx.
        energy: name of the energy, of which the targets are the function's values; of `logistic` the probabilities
            1/(1 + exp(−4 value)).
        ridge: ρ, which makes the energy strongly convex everywhere.
        count: N, the number of points.
    """

    name: ClassVar[str] = "nonlinear-regression"
    summary: ClassVar[str] = "a tanh network follows an energy's movements towards a function of one variable"
    always: ClassVar[tuple[str, ...]] = ("target", "energy")
    target: Literal["smooth", "step", "stiff", "two_outputs"] = "smooth"
    energy: EnergyName = "quadratic"
    ridge: float = Field(0.0, ge=0)
    count: int = Field(64, ge=2)

    def network(self) -> Module:
        return mlp((1, *self.hidden, len(_TARGETS[self.target])), "tanh")

    def movement_energy(self) -> Energy:
        return Energy(self.energy, self.ridge)

    def points(self, backend: Backend, seed: int) -> Points:
        return _Equidistant(self)


@dataclass(frozen=True)
class _Equidistant(Points):
    task: NonlinearRegression

    def at(self, k: int) -> tuple[Values, Values]:
        x = np.linspace(-1, 1, self.task.count)[:, None]
        y = np.concatenate([function(x) for function in _TARGETS[self.task.target]], axis=1)
        return x, (1 + np.tanh(2 * y)) / 2 if self.task.energy == "logistic" else y
