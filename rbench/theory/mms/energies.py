"""Energies E[u] = (1/N) Σ_b Σ_i e(u_bi, y_bi) + ½ρ‖u‖² of functions at N points, and their exact movements."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from rbench.backend import Array

Values: TypeAlias = np.ndarray[Any, Any]
"""A function's values at N points, (N, d), float64."""

EnergyName: TypeAlias = Literal["quadratic", "logistic", "pseudo_huber", "log_cosh"]

FAR = 1e6
"""The τ of the movements that lead to the minimiser: each leaves less than 1/(1 + 10⁶ e'') of the distance."""


class _Form(NamedTuple):
    """e(u, y), e' and e'' in u, entry by entry, given the array library's namespace."""

    value: Callable[[Any, Array, Array], Array]
    slope: Callable[[Any, Array, Array], Array]
    curvature: Callable[[Any, Array, Array], Array]


def _probability(xp: Any, u: Array) -> Array:
    return (1 + xp.tanh(u / 2)) / 2


_FORMS: dict[str, _Form] = {
    "quadratic": _Form(
        lambda xp, u, y: (u - y) ** 2 / 2,
        lambda xp, u, y: u - y,
        lambda xp, u, y: xp.ones_like(u),
    ),
    "logistic": _Form(  # log(1 + exp u) − y u
        lambda xp, u, y: (xp.abs(u) + u) / 2 + xp.log1p(xp.exp(-xp.abs(u))) - y * u,
        lambda xp, u, y: _probability(xp, u) - y,
        lambda xp, u, y: _probability(xp, u) * _probability(xp, -u),
    ),
    "pseudo_huber": _Form(
        lambda xp, u, y: xp.sqrt(1 + (u - y) ** 2) - 1,
        lambda xp, u, y: (u - y) / xp.sqrt(1 + (u - y) ** 2),
        lambda xp, u, y: (1 + (u - y) ** 2) ** -1.5,
    ),
    "log_cosh": _Form(
        lambda xp, u, y: xp.abs(u - y) + xp.log1p(xp.exp(-2 * xp.abs(u - y))) - np.log(2.0),
        lambda xp, u, y: xp.tanh(u - y),
        lambda xp, u, y: 1 - xp.tanh(u - y) ** 2,
    ),
}


@dataclass(frozen=True)
class Energy:
    """A convex energy of a function's values u, separable over points and outputs.

    Attributes:
        name: `quadratic`, e = ½(u − y)²; `logistic`, log(1 + exp u) − y u, for y from 0 to 1; `pseudo_huber`,
            √(1 + (u − y)²) − 1; `log_cosh`, log cosh(u − y).
        ridge: ρ.
    """

    name: EnergyName
    ridge: float = 0.0

    def value(self, xp: Any, u: Array, y: Array) -> Array:
        """e + ½ρu², entry by entry."""
        return _FORMS[self.name].value(xp, u, y) + self.ridge / 2 * u**2

    def slope(self, xp: Any, u: Array, y: Array) -> Array:
        """Its derivative in u."""
        return _FORMS[self.name].slope(xp, u, y) + self.ridge * u

    def curvature(self, xp: Any, u: Array, y: Array) -> Array:
        """Its second derivative in u, which has no minimum between two points: at one of them it is least."""
        return _FORMS[self.name].curvature(xp, u, y) + self.ridge

    def resolvent(self, anchor: Values, y: Values, tau: float) -> Values:
        """argmin_v ‖v − anchor‖²/2τ + E[v], which solves v − anchor + τ e'(v) = 0 at every point.

        With quadratic e it is (anchor + τy)/(1 + τ + τρ). Otherwise it lies between the anchor and
        anchor − τ e'(anchor), since e' grows; found there to rounding.
        """
        if self.name == "quadratic":
            return (anchor + tau * y) / (1 + tau + tau * self.ridge)

        def equation(v: Values, /, *at: Values) -> Values:
            moved: Values = v - at[0] + tau * self.slope(np, v, at[1])
            return moved

        move = tau * self.slope(np, anchor, y)
        margin = 1e-9 * (1 + np.abs(anchor) + np.abs(move))  # beyond rounding, so that the ends have unlike signs
        bracket = anchor - np.maximum(move, 0) - margin, anchor - np.minimum(move, 0) + margin
        from scipy.optimize import elementwise

        found = elementwise.find_root(equation, bracket, args=(anchor, y))
        root: Values = found.x
        return root

    def minimiser(self, y: Values) -> Values:
        """argmin E, by movements with a large τ."""
        u = np.zeros_like(y)
        for _ in range(4):
            u = self.resolvent(u, y, FAR)
        return u


def norm(values: Values) -> float:
    """‖u‖ in L² over the points, ‖u‖² = (1/N) Σ_b |u_b|²."""
    return float(np.sqrt(np.sum(values**2) / len(values)))
