"""Paths through the weights: nodes of an integrator, interpolated."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from rbench.theory.flow import Matrix, Vector

Scheme: TypeAlias = Literal["euler", "heun", "rk4"]
"""An integrator; the gaps of their paths fall with the 2nd, 4th and 6th power of the step."""

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


@dataclass(frozen=True)
class Path:
    """A path through nodes at equal times.

    Attributes:
        h: time between two nodes.
        nodes: (N + 1, n).
        velocities: ẇ at the nodes, (N + 1, n), for cubic Hermite segments; None for straight ones.
    """

    h: float
    nodes: Matrix
    velocities: Matrix | None

    def quadrature(self, points: int = 4) -> Iterator[tuple[float, Vector, Vector]]:
        """Weight, w and ẇ at the Gauss-Legendre points of every segment."""
        places, weights = np.polynomial.legendre.leggauss(points)
        for k in range(len(self.nodes) - 1):
            for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
                yield self.h * weight, *self._at(k, place)

    def _at(self, k: int, s: float) -> tuple[Vector, Vector]:
        """w and ẇ at the share s of segment k."""
        start, end = self.nodes[k], self.nodes[k + 1]
        if self.velocities is None:
            return start + s * (end - start), (end - start) / self.h
        v0, v1 = self.h * self.velocities[k], self.h * self.velocities[k + 1]
        cubic = 2 * (start - end) + v0 + v1
        square = 3 * (end - start) - 2 * v0 - v1
        return start + s * (v0 + s * (square + s * cubic)), (v0 + s * (2 * square + 3 * s * cubic)) / self.h


def integrate(velocity: Callable[[Vector], Vector], start: Vector, h: float, steps: int, scheme: Scheme) -> Path:
    """Steps of `euler`, `heun` or `rk4` for ẇ = velocity(w); straight between Euler's nodes, else cubic Hermite."""
    nodes, velocities = [start], [velocity(start)]
    for _ in range(steps):
        w, v = nodes[-1], velocities[-1]
        if scheme == "euler":
            slope = v
        elif scheme == "heun":
            slope = (v + velocity(w + h * v)) / 2
        else:
            second = velocity(w + h / 2 * v)
            third = velocity(w + h / 2 * second)
            slope = (v + 2 * second + 2 * third + velocity(w + h * third)) / 6
        nodes.append(w + h * slope)
        velocities.append(velocity(nodes[-1]))
    return Path(h, np.stack(nodes), None if scheme == "euler" else np.stack(velocities))
