"""Hamilton's equations of the action (Thm. 2 of arXiv 2603.03610), and what they do to a small error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rbench.theory.flow import Field, Matrix, Vector

STEP = 1e-4
"""Of differences, in units of 1 + ‖w‖."""

LARGEST = 1e8
"""A trajectory ends where a number exceeds it in size."""


@dataclass(frozen=True)
class Hamiltonian:
    """H(w, p) = ½ pᵀG⁻¹p − ½ s ∇EᵀG⁻¹∇E; its paths have the least action, or at s = 0 are geodesics.

    With v = G⁻¹p and u = G⁻¹∇E held fixed while w moves,

        ẇ = v,   ṗ = ∇_w [½ vᵀGv + s (uᵀ∇E − ½ uᵀGu)].

    Attributes:
        field: the loss and the metric.
        potential: s.
        metric_moves: False leaves the derivatives of the metric out, which is wrong unless G is constant.
    """

    field: Field
    potential: float = 1.0
    metric_moves: bool = True

    def value(self, w: Vector, p: Vector) -> float:
        """H."""
        point = self.field(w)
        kinetic = float(p @ np.linalg.solve(point.metric, p))
        return (kinetic - self.potential * float(point.gradient @ point.velocity)) / 2

    def rates(self, w: Vector, p: Vector) -> tuple[Vector, Vector]:
        """ẇ and ṗ."""
        point = self.field(w)
        v, u = np.linalg.solve(point.metric, p), point.velocity
        push = self.potential * directional(lambda at: self.field(at).gradient, w, u)
        if self.metric_moves:
            # ½ vᵀGv − ½ s uᵀGu as one product, so that where v = −u and s = 1 no error of its differences is left.
            left, right = (v - u, v + u) if self.potential == 1 else (v, v)
            rest = 0.0 if self.potential == 1 else self.potential

            def energy(at: Vector) -> float:
                metric = self.field(at).metric
                return float(left @ metric @ right - rest * (u @ metric @ u)) / 2

            push = push + differentiated(energy, w)
        return v, push

    def path(self, w: Vector, p: Vector, times: Vector, tolerance: float = 1e-12) -> tuple[Vector, Matrix, Matrix]:
        """Times, w and p along the solution, by Dormand and Prince's method of order 8; short where it explodes."""
        n = len(w)

        def rates(_: float, state: Vector) -> Vector:
            return np.concatenate(self.rates(state[:n], state[n:]))

        times, states = solve(rates, np.concatenate([w, p]), times, tolerance)
        return times, states[:, :n], states[:, n:]


def solve(
    rates: Callable[[float, Vector], Vector], start: Vector, times: Vector, tolerance: float = 1e-12
) -> tuple[Vector, Matrix]:
    """The solution of ẏ = rates(t, y) at some times, (len(times), n); short where it explodes."""
    from scipy.integrate import solve_ivp

    def explodes(_: float, state: Vector) -> float:
        return LARGEST - float(np.abs(state).max())

    explodes.terminal = True  # type: ignore[attr-defined]
    found: Any = solve_ivp(
        rates, (times[0], times[-1]), start, "DOP853", times, rtol=tolerance, atol=tolerance, events=explodes
    )
    return found.t, found.y.T


def directional(function: Callable[[Vector], Any], w: Vector, along: Vector) -> Any:
    """(Df)v at w, by central differences of order 4."""
    size = float(np.linalg.norm(along))
    if size == 0:
        return 0 * function(w)
    step = 10 * STEP * (1 + float(np.linalg.norm(w))) / size
    near, far = (function(w + k * step * along) - function(w - k * step * along) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def differentiated(function: Callable[[Vector], Any], w: Vector) -> Vector:
    """∇f at w, (n,), or Dfᵀ, (n, m), by central differences of order 2."""
    step = STEP / 10 * (1 + float(np.linalg.norm(w)))
    moves = step * np.eye(len(w))
    return np.array([(function(w + move) - function(w - move)) / (2 * step) for move in moves])


def fastest(field: Field, w: Vector) -> float:
    """λ = max |Re eig Du| at w: near w errors grow by e^λ a second at most, forward or backward in time."""
    return float(np.abs(np.linalg.eigvals(differentiated(lambda at: field(at).velocity, w)).real).max())
