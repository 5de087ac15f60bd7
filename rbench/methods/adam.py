"""Adam and AdamW, and what other methods share with them."""

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, TypeAlias

from pydantic import Field

from rbench.backend import Array
from rbench.methods.base import Method, Scalars, State, Step, map_blocks
from rbench.methods.operations import gradient_operations, layer_works
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem
from rbench.modules import Params
from rbench.modules.space import Space

Moments: TypeAlias = tuple[Array, Array]
"""Running averages m of an array's gradient and s of its squares."""


class Adaptive(Method):
    """Adam's averages m ← β₁ m + (1 − β₁) g and s ← β₂ s + (1 − β₂) g², with decoupled weight decay.

    Hats are for averages that are corrected for their start at zero: m̂ = m / (1 − β₁ᵗ) at the t-th step, ŝ likewise.

    Attributes:
        beta1: β₁.
        beta2: β₂.
        epsilon: ε.
        weight_decay: λ, decoupled.
    """

    lr: float = Field(1e-3, gt=0, allow_inf_nan=False)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)

    def scalars(self, step: int, total: int) -> Scalars:
        corrections = {"correction1": 1 - self.beta1 ** (step + 1), "correction2": 1 - self.beta2 ** (step + 1)}
        return super().scalars(step, total) | corrections

    def averaged(self, moments: Moments, gradient: Array) -> Moments:
        """The averages with a gradient taken up."""
        first, second = moments
        return (
            self.beta1 * first + (1 - self.beta1) * gradient,
            self.beta2 * second + (1 - self.beta2) * gradient * gradient,
        )

    def direction(self, xp: Any, moments: Moments, scalars: Scalars) -> Array:
        """m / (√ŝ + ε); the correction of m is left to the rate, η / (1 − β₁ᵗ)."""
        first, second = moments
        return first / (xp.sqrt(second) / scalars["correction2"] ** 0.5 + self.epsilon)


class Adam(Adaptive):
    """Adam (Kingma and Ba 2015); with weight decay AdamW (Loshchilov and Hutter 2019).

    w ← w − η (m̂ / (√ŝ + ε) + λ w).
    """

    name: ClassVar[str] = "adam"
    summary: ClassVar[str] = "Adam; with weight decay, AdamW"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-4, 1),
        "beta1": Choice(0.8, 0.9, 0.95),
        "beta2": Choice(0.99, 0.999),
    }

    def init(self, problem: Problem, params: Params) -> State:
        zeros_like = problem.backend.xp.zeros_like
        return map_blocks(lambda w: (zeros_like(w), zeros_like(w)), params)

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        return gradient_operations(layer_works(problem.net, space), batch)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        xp = problem.backend.xp
        loss, gradient = problem.gradient(params, batch)
        state = map_blocks(self.averaged, state, gradient)
        rate = scalars["lr"] / scalars["correction1"]
        keep = 1 - scalars["lr"] * self.weight_decay
        params = map_blocks(lambda w, moments: keep * w - rate * self.direction(xp, moments, scalars), params, state)
        return Step(params, state, loss)
