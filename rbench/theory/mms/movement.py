"""One minimizing movement of a network, ‖u − u^k‖²/2τ + E[u] → min over its weights, as a loss on its outputs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rbench.backend import Array, Backend
from rbench.losses import Loss
from rbench.metrics import Batch, Problem
from rbench.modules import Module, Params
from rbench.theory.mms.energies import Energy


@dataclass(frozen=True, eq=False)
class Movement(Loss):
    """ℓ(u, a) = s (|u − a|²/2τ + Σ_i e(u_i, y_i)), whose Hessian is diag(s q), q = 1/τ + e'': another for every datum.

    The loss's targets are the anchor a = u^k. Its Gauss-Newton direction with mass 1 and s = 1/ε is the one with mass ε
    and s = 1: (εI + JᵀqJ/N)⁻¹ Jᵀ(u − a + τe')/(τN).

    Attributes:
        energy: E.
        tau: τ.
        y: the energy's targets, (batch, d).
        scale: s.
    """

    energy: Energy
    tau: float
    y: Array
    scale: Array | float = 1.0
    name = "movement"
    summary = "a minimizing movement"

    def values(self, backend: Backend, z: Array, y: Array) -> Array:
        terms = (z - y) ** 2 / (2 * self.tau) + self.energy.value(backend.xp, z, self.y)
        return self.scale * backend.xp.sum(terms, axis=1)

    def cotangents(self, backend: Backend, z: Array, y: Array) -> Array:
        return self.scale * ((z - y) / self.tau + self.energy.slope(backend.xp, z, self.y))

    def curvature(self, backend: Backend, z: Array) -> Array:
        """s q, (batch, d)."""
        return self.scale * (1 / self.tau + self.energy.curvature(backend.xp, z, self.y))

    def hessian_factor(self, backend: Backend, z: Array) -> Array:
        return backend.xp.sqrt(self.curvature(backend, z))[:, :, None] * backend.eye(z.shape[1])

    def noise(self, generator: np.random.Generator, batch: int, samples: int, d: int) -> np.ndarray:
        return generator.standard_normal((batch, samples, d))

    def sampled_factor(self, backend: Backend, z: Array, noise: Array) -> Array:
        """Rows √(sq) ε/√r with ε ~ N(0, I)."""
        return backend.xp.sqrt(self.curvature(backend, z))[:, None, :] * noise / noise.shape[1] ** 0.5

    def predictions(self, backend: Backend, z: Array) -> Array:
        return z


class Subproblem(NamedTuple):
    """The arrays of one outer step.

    Attributes:
        x: the points (N, in).
        y: the energy's targets there, (N, d).
        anchor: u^k there, (N, d).
        resolvent: argmin_v ‖v − u^k‖²/2τ + E[v] there, which the network is to reach, (N, d).
    """

    x: Array
    y: Array
    anchor: Array
    resolvent: Array


class Look(NamedTuple):
    """What a forward pass tells of a network within an outer step, as scalars.

    Attributes:
        value: F = ‖u − u^k‖²/2τ + E[u].
        error: ‖u − resolvent‖.
        curvature: mean of q = 1/τ + e''.
    """

    value: Array
    error: Array
    curvature: Array


@dataclass(frozen=True)
class Scheme:
    """What stays the same over the outer steps.

    Attributes:
        backend: computes the network.
        net: the network.
        energy: E.
        tau: τ.
    """

    backend: Backend
    net: Module
    energy: Energy
    tau: float

    def problem(self, sub: Subproblem, scale: Array | float = 1.0) -> Problem:
        """The network with the outer step's F, times a scale."""
        return Problem(self.backend, self.net, Movement(self.energy, self.tau, sub.y, scale))

    def batch(self, sub: Subproblem, noise: Array | None = None) -> Batch:
        """All points of the outer step."""
        return Batch(sub.x, sub.anchor, noise)

    def look(self, params: Params, sub: Subproblem) -> Look:
        """A forward pass, and how far its outputs are from the resolvent."""
        xp = self.backend.xp
        z = self.net.apply(self.backend, params, sub.x)
        loss = Movement(self.energy, self.tau, sub.y)
        away = xp.sqrt(xp.mean(xp.sum((z - sub.resolvent) ** 2, axis=1)))
        value = xp.mean(loss.values(self.backend, z, sub.anchor))
        return Look(value, away, xp.mean(loss.curvature(self.backend, z)))
