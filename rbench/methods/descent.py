"""The common part of methods of the form w ← w − η (momentum of a direction)."""

from collections.abc import Callable
from typing import Any

from pydantic import Field

from rbench.backend import Array, Backend
from rbench.methods.base import Method, State, map_blocks
from rbench.metrics import Batch, Problem
from rbench.modules import Params


class Descent(Method):
    """Heavy-ball momentum on a direction Δ, with decoupled weight decay.

    v ← μ v + Δ and w ← w − η (v + λ w) (Polyak 1964; decoupled: Loshchilov and Hutter 2019).

    Attributes:
        momentum: μ.
        weight_decay: λ.
    """

    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)

    def init(self, problem: Problem, params: Params) -> State:
        return map_blocks(problem.backend.xp.zeros_like, params) if self.momentum else ()

    def descend(
        self, backend: Backend, params: Params, velocity: Any, direction: Params, lr: float, *, nesterov: bool = False
    ) -> tuple[Params, Any]:
        """New parameters and velocity. Do not use the direction afterwards: its memory may hold the velocity."""
        push, velocity = self.with_momentum(backend, velocity, direction, nesterov=nesterov)
        return self.moved(backend, params, push, lr), velocity

    def with_momentum(
        self, backend: Backend, velocity: Any, direction: Params, *, nesterov: bool = False
    ) -> tuple[Params, Any]:
        """What the parameters move along, v or Δ + μ v, and the new velocity; as for `descend`."""
        if not self.momentum:
            return direction, velocity
        add_scaled = backend.add_scaled
        spare = not nesterov  # the next velocity may overwrite the direction, unless that is needed again
        velocity = map_blocks(lambda v, d: add_scaled(d, self.momentum, v, spare=spare), velocity, direction)
        if not nesterov:
            return velocity, velocity
        return map_blocks(lambda v, d: add_scaled(d, self.momentum, v), velocity, direction), velocity

    def moved(self, backend: Backend, params: Params, push: Params, lr: float | Array) -> Params:
        """w − η (p + λ w) for a push p."""
        if self.weight_decay:
            params = map_blocks(lambda w: (1 - lr * self.weight_decay) * w, params)
        return map_blocks(lambda w, p: backend.add_scaled(w, -lr, p), params, push)


def least_rate(
    problem: Problem, batch: Batch, moved: Callable[[float | Array], Params], lr: float, halvings: int
) -> Array:
    """Of the rates η, η/2, …, η/2ᵏ, k = `halvings`, the one whose parameters `moved(rate)` have the least mean loss."""
    xp = problem.backend.xp
    losses = xp.stack([problem.value(moved(lr * 0.5**k), batch) for k in range(halvings + 1)])
    usable = xp.where(xp.isfinite(losses), losses, xp.full_like(losses, float("inf")))
    return lr * 0.5 ** xp.astype(xp.argmin(usable), losses.dtype)


def clip_step(problem: Problem, direction: Params, slope: Array, lr: float, kl_clip: float) -> Params:
    """Scale a direction Δ by ν = min(1, √(c / (η² Σ_l g_lᵀ Δ_l))) with c = `kl_clip`.

    This bounds what the direction adds to the momentum, in the metric's length: η² gᵀΔ ≤ c (Ba et al. 2017).
    """
    xp = problem.backend.xp
    length = lr * lr * slope
    # A slope of zero, or one rounded below it, needs no clip.
    factor = xp.sqrt(kl_clip / xp.maximum(length, xp.full_like(length, kl_clip)))
    return map_blocks(lambda d: factor * d, direction)
