"""Adam and AdamW."""

from collections.abc import Hashable, Mapping
from typing import ClassVar

from pydantic import Field

from rbench.methods.base import Method, Scalars, State, Step, map_blocks
from rbench.methods.operations import gradient_operations, layer_works
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem
from rbench.modules import Params
from rbench.modules.space import Space


class Adam(Method):
    """Adam (Kingma and Ba 2015); with weight decay AdamW (Loshchilov and Hutter 2019).

    m ← β₁ m + (1 − β₁) g, s ← β₂ s + (1 − β₂) g², w ← w − η (m̂ / (√ŝ + ε) + λ w), hats for the bias-corrected averages.

    Attributes:
        beta1: β₁.
        beta2: β₂.
        epsilon: ε.
        weight_decay: λ, decoupled.
    """

    name: ClassVar[str] = "adam"
    summary: ClassVar[str] = "Adam; with weight decay, AdamW"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-4, 1),
        "beta1": Choice(0.8, 0.9, 0.95),
        "beta2": Choice(0.99, 0.999),
    }
    lr: float = Field(1e-3, gt=0, allow_inf_nan=False)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)

    def scalars(self, step: int, total: int) -> Scalars:
        corrections = {"correction1": 1 - self.beta1 ** (step + 1), "correction2": 1 - self.beta2 ** (step + 1)}
        return super().scalars(step, total) | corrections

    def init(self, problem: Problem, params: Params) -> State:
        zeros = map_blocks(problem.backend.xp.zeros_like, params)
        return (zeros, zeros)

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        return gradient_operations(layer_works(problem.net, space), batch)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        xp = problem.backend.xp
        loss, gradient = problem.gradient(params, batch)
        first = map_blocks(lambda m, g: self.beta1 * m + (1 - self.beta1) * g, state[0], gradient)
        second = map_blocks(lambda s, g: self.beta2 * s + (1 - self.beta2) * g * g, state[1], gradient)
        rate = scalars["lr"] / scalars["correction1"]
        root = scalars["correction2"] ** 0.5
        keep = 1 - scalars["lr"] * self.weight_decay
        params = map_blocks(
            lambda w, m, s: keep * w - rate * m / (xp.sqrt(s) / root + self.epsilon), params, first, second
        )
        return Step(params, (first, second), loss)
