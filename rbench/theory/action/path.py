"""Paths through the weights: nodes of an integrator, interpolated."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from rbench.spec import Configurable
from rbench.theory.flow import Matrix, Vector

Velocity: TypeAlias = Callable[[Vector], Vector]
"""ẇ at any weights."""


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
        places, weights = gauss(1.0, 1, points)
        for k in range(len(self.nodes) - 1):
            for place, weight in zip(places, weights, strict=True):
                yield self.h * weight, *self._at(k, place)

    def ends(self) -> Iterator[tuple[Vector, Vector]]:
        """w and ẇ at the end of every segment."""
        for k in range(len(self.nodes) - 1):
            yield self._at(k, 1.0)

    def _at(self, k: int, s: float) -> tuple[Vector, Vector]:
        """w and ẇ at the share s of segment k."""
        start, end = self.nodes[k], self.nodes[k + 1]
        if self.velocities is None:
            return start + s * (end - start), (end - start) / self.h
        v0, v1 = self.h * self.velocities[k], self.h * self.velocities[k + 1]
        cubic = 2 * (start - end) + v0 + v1
        square = 3 * (end - start) - 2 * v0 - v1
        return start + s * (v0 + s * (square + s * cubic)), (v0 + s * (2 * square + 3 * s * cubic)) / self.h


def gauss(seconds: float, segments: int, points: int = 4) -> tuple[Vector, Vector]:
    """Times and weights of Gauss-Legendre quadrature over equal segments of [0, seconds]."""
    places, weights = np.polynomial.legendre.leggauss(points)
    h = seconds / segments
    times = h * (np.arange(segments)[:, None] + (places + 1) / 2)
    return np.ravel(times), np.tile(h * weights / 2, segments)


class Integrator(Configurable):
    """An integrator of ẇ = velocity(w), and how the segments between its nodes run.

    Attributes:
        straight: straight segments; cubic Hermite ones if not.
    """

    straight: ClassVar[bool] = False

    @abstractmethod
    def slope(self, velocity: Velocity, w: Vector, v: Vector, h: float) -> Vector:
        """The mean velocity of a step of length h from w, where it is v."""

    def integrate(self, velocity: Velocity, start: Vector, h: float, steps: int) -> Path:
        """The path of some steps."""
        nodes, velocities = [start], [velocity(start)]
        for _ in range(steps):
            w = nodes[-1]
            nodes.append(w + h * self.slope(velocity, w, velocities[-1], h))
            velocities.append(velocity(nodes[-1]))
        return Path(h, np.stack(nodes), None if self.straight else np.stack(velocities))


class Euler(Integrator):
    """Euler's: a path of order 1, whose gap falls with the 2nd power of the step."""

    name: ClassVar[str] = "euler"
    summary: ClassVar[str] = "Euler's steps, straight segments"
    straight: ClassVar[bool] = True

    def slope(self, velocity: Velocity, w: Vector, v: Vector, h: float) -> Vector:
        return v


class Heun(Integrator):
    """Heun's: a path of order 2, whose gap falls with the 4th power of the step."""

    name: ClassVar[str] = "heun"
    summary: ClassVar[str] = "Heun's steps, cubic Hermite segments"

    def slope(self, velocity: Velocity, w: Vector, v: Vector, h: float) -> Vector:
        mean: Vector = (v + velocity(w + h * v)) / 2
        return mean


class RungeKutta4(Integrator):
    """Runge and Kutta's of order 4; its gap falls with the 6th power of the step, which the segments set."""

    name: ClassVar[str] = "rk4"
    summary: ClassVar[str] = "Runge-Kutta steps of order 4, cubic Hermite segments"

    def slope(self, velocity: Velocity, w: Vector, v: Vector, h: float) -> Vector:
        second = velocity(w + h / 2 * v)
        third = velocity(w + h / 2 * second)
        mean: Vector = (v + 2 * second + 2 * third + velocity(w + h * third)) / 6
        return mean


INTEGRATORS: tuple[type[Integrator], ...] = (Euler, Heun, RungeKutta4)
