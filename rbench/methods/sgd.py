"""SGD with momentum."""

from collections.abc import Hashable, Mapping
from typing import ClassVar

from rbench.methods.base import Scalars, State, Step
from rbench.methods.descent import Descent
from rbench.methods.operations import gradient_operations, layer_works
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem
from rbench.modules import Params
from rbench.modules.space import Space


class SGD(Descent):
    """Stochastic gradient descent, w ← w − η v with v ← μ v + g.

    Attributes:
        nesterov: step along g + μ v instead of v (Sutskever et al. 2013, in the form that PyTorch uses).
    """

    name: ClassVar[str] = "sgd"
    summary: ClassVar[str] = "stochastic gradient descent with momentum or Nesterov's"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 3),
        "momentum": Choice(0.0, 0.9, 0.95),
        "nesterov": Choice(False, True),
    }
    nesterov: bool = False

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        return gradient_operations(layer_works(problem.net, space), batch)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        loss, gradient = problem.gradient(params, batch)
        params, state = self.descend(problem.backend, params, state, gradient, scalars["lr"], nesterov=self.nesterov)
        return Step(params, state, loss)
