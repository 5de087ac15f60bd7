"""The action S[w] = ½∫(ẇᵀGẇ + ∇EᵀG⁻¹∇E) dt (eq. 1 of arXiv 2603.03610), as its excess over the loss's fall."""

from typing import NamedTuple

import numpy as np

from rbench.theory.action.path import Path
from rbench.theory.flow import Field, Point, Vector

DIFFERENCE = 1e-5
"""Step of central differences along u, in units of 1 + ‖w‖."""


class Excess(NamedTuple):
    """How far a path is from the flow ẇ = ∓u.

    Attributes:
        gap: S − |ΔE| = ½∫‖ẇ ± u‖²_G dt ≥ 0.
        speed: ½∫(‖ẇ‖_G − ‖u‖_G)² dt, the part of the gap that is due to timing.
        direction: ∫(‖ẇ‖_G‖u‖_G ± ẇ·∇E) dt, the part that is due to the path's course.
        hamiltonian: the largest |H|, H = ½⟨ẇ − u, ẇ + u⟩_G.
        as_defined: S by its definition, less |ΔE|: the gap again, with cancellation.
    """

    gap: float
    speed: float
    direction: float
    hamiltonian: float
    as_defined: float


def excess(field: Field, path: Path, sign: float = -1.0) -> Excess:
    """The gap of a path and its parts, by Gauss-Legendre quadrature; `sign` is −1 for descent, 1 for ascent."""
    sums = np.zeros(4)
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
            (speed**2 + natural**2) / 2,
        )
        sums += weight * np.array(terms)
        highest = max(highest, abs(point.inner(v - u, v + u)) / 2)
    change = sign * (field(path.nodes[-1]).value - field(path.nodes[0]).value)
    gap, speed, direction, action = map(float, sums)
    return Excess(gap, speed, direction, highest, action - change)


def euler_constants(field: Field, path: Path) -> tuple[float, float]:
    """What the gap of Euler's path over h², and its largest |H| over h, tend to: ∫‖ẅ‖²_G dt / 6 and max|⟨ẇ, ẅ⟩_G|.

    Along the flow ẅ = (Du)u, here by central differences on a path that is close to it.
    """
    integral = 0.0
    highest = 0.0
    for weight, w, _ in path.quadrature(2):
        point = field(w)
        acceleration = along_itself(field, point, w)
        integral += weight * point.inner(acceleration, acceleration)
        highest = max(highest, abs(point.inner(point.velocity, acceleration)))
    return integral / 6, highest


def along_itself(field: Field, point: Point, w: Vector) -> Vector:
    """(Du)u at w."""
    step = DIFFERENCE * (1 + float(np.linalg.norm(w))) / (1e-300 + float(np.linalg.norm(point.velocity)))
    ahead, behind = (field(w + side * step * point.velocity).velocity for side in (1, -1))
    return (ahead - behind) / (2 * step)
