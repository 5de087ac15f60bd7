"""The action S[w] = ½∫(ẇᵀGẇ + ∇EᵀG⁻¹∇E) dt (eq. 1 of arXiv 2603.03610), as its excess over the loss's fall."""

from typing import NamedTuple

import numpy as np

from rbench.theory.action.hamilton import directional
from rbench.theory.action.path import Path
from rbench.theory.flow import Field


class Excess(NamedTuple):
    """How far a path is from the flow ẇ = ∓u.

    Attributes:
        gap: S − |ΔE| = ½∫‖ẇ ± u‖²_G dt ≥ 0.
        speed: ½∫(‖ẇ‖_G − ‖u‖_G)² dt, the part of the gap that is due to timing.
        direction: ∫(‖ẇ‖_G‖u‖_G ± ẇ·∇E) dt, the part that is due to the path's course.
        hamiltonian: the largest |H|, H = ½⟨ẇ − u, ẇ + u⟩_G, at the points of quadrature and the ends of segments.
    """

    gap: float
    speed: float
    direction: float
    hamiltonian: float


def excess(field: Field, path: Path, sign: float = -1.0) -> Excess:
    """The gap of a path and its parts, by Gauss-Legendre quadrature; `sign` is −1 for descent, 1 for ascent."""
    sums = np.zeros(3)
    highest = 0.0
    for weight, w, v in path.quadrature():
        point = field(w)
        u = point.velocity
        off = v - sign * u
        speed = point.inner(v, v) ** 0.5
        natural = float(u @ point.gradient) ** 0.5
        along = sign * float(v @ point.gradient)
        terms = (
            point.inner(off, off) / 2,
            (speed - natural) ** 2 / 2,
            speed * natural - along,
        )
        sums += weight * np.array(terms)
        highest = max(highest, abs(point.inner(v - u, v + u)) / 2)
    for w, v in path.ends():
        u = field(w).velocity
        highest = max(highest, abs(field(w).inner(v - u, v + u)) / 2)
    gap, speed, direction = map(float, sums)
    return Excess(gap, speed, direction, highest)


def euler_constants(field: Field, path: Path) -> tuple[float, float]:
    """What the gap of Euler's path over h², and its largest |H| over h, tend to: ∫‖ẅ‖²_G dt / 6 and max|⟨ẇ, ẅ⟩_G|.

    Along the flow ẅ = (Du)u, here by differences on a path that is close to it.
    """
    integral = 0.0
    highest = 0.0
    for weight, w, _ in path.quadrature(2):
        point = field(w)
        acceleration = directional(lambda at: field(at).velocity, w, point.velocity)
        integral += weight * point.inner(acceleration, acceleration)
        highest = max(highest, abs(point.inner(point.velocity, acceleration)))
    return integral / 6, highest
