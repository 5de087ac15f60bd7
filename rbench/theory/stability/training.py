"""Gradient flow of the mean squared error of some data, seen at the outputs of all data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rbench.backend import Array, Backend
from rbench.errors import DivergedError
from rbench.modules import Module, Params
from rbench.solvers.dense import layer_factor
from rbench.theory.flow import Matrix, Vector, shaped

TOLERANCE = 1e-7
"""Of the integrator: relative to each weight, and a hundredth of it absolute."""

Indices: TypeAlias = np.ndarray[Any, Any]
"""Which of the m data, (n,)."""


class Linearised(NamedTuple):
    """A module of one output, to first order in its weights, at m data.

    Attributes:
        outputs: f, (m,).
        jacobians: J_l of each layer, (m, weights of the layer).
    """

    outputs: Vector
    jacobians: tuple[Matrix, ...]


Linearise: TypeAlias = Callable[[Vector], Linearised]
"""A module at any weights."""


def linearise(backend: Backend, net: Module, x: Any) -> Linearise:
    """A module of one output at inputs x (m, *shape)."""
    inputs = (backend.asarray(x),)
    # Of a pullback the first row is the loss's, which nobody needs here, and the others are the metric's.
    rows = backend.asarray(np.ones((len(x), 2, 1)))

    @backend.compile
    def arrays(params: Params) -> tuple[Array, list[Array]]:
        (z,), tape = net.forward(backend, params, inputs)
        _, layers = net.pullback(backend, params, tape, (rows,), need_input=False)
        return z[:, 0], [layer_factor(backend, layer) for layer in layers]

    def at(weights: Vector) -> Linearised:
        outputs, jacobians = arrays(shaped(backend, net, weights))
        return Linearised(backend.to_numpy(outputs), tuple(map(backend.to_numpy, jacobians)))

    return at


class Run(NamedTuple):
    """What a training is like at some times.

    Attributes:
        weights: (times, weights).
        residuals: f − y at all data, (times, m).
        kernels: Θ = J G⁻¹Jᵀ of all data, (times, m, m); None where they are not asked for.
        norms: of each datum's Jacobian, (times, m).
    """

    weights: Matrix
    residuals: Matrix
    kernels: Matrix | None
    norms: Matrix


@dataclass(frozen=True)
class Training:
    """ẇ = −G⁻¹∇E − αw, E the mean of ½(f − y)² over some of the data.

    Attributes:
        module: the module at all m data.
        y: targets of all data, (m,).
        data: those of E.
        pulled: those that G_l = μI + J_lᵀJ_l / n is built on, the GGN metric of this loss; None for G = μI.
        mass: μ.
        decay: α.
        kernels: whether its runs have the kernels.
    """

    module: Linearise
    y: Vector
    data: Indices
    pulled: Indices | None
    mass: float
    decay: float = 0.0
    kernels: bool = False

    def velocity(self, weights: Vector) -> Vector:
        """ẇ."""
        at = self.module(weights)
        residuals = np.zeros(len(self.y))
        residuals[self.data] = (at.outputs - self.y)[self.data] / len(self.data)
        natural = [self._over_metric(j, (residuals @ j)[None, :])[0] for j in at.jacobians]
        return -np.concatenate(natural) - self.decay * weights

    def derivative(self, weights: Vector) -> Matrix:
        """−G⁻¹JᵀJ/n − αI: that of ẇ in w but for the derivatives of J and G, which an implicit step can do without."""
        jacobians = self.module(weights).jacobians
        rows = [j[self.data] for j in jacobians]
        natural = [self._over_metric(*pair) for pair in zip(jacobians, rows, strict=True)]
        product = np.concatenate(natural, axis=1).T @ np.concatenate(rows, axis=1) / len(self.data)
        found: Matrix = -product - self.decay * np.eye(len(weights))
        return found

    def kernel(self, at: Linearised) -> Matrix:
        """Θ = Σ_l J_l G_l⁻¹J_lᵀ, of all data, (m, m)."""
        return sum((self._over_metric(j, j) @ j.T for j in at.jacobians), np.zeros(2 * self.y.shape))

    def run(self, start: Vector, times: Vector) -> Run:
        """The flow from some weights, at times from 0 on.

        LSODA goes over to implicit steps where the flow is stiff, as it is for a small mass alone.

        Raises:
            DivergedError: the integrator fails.
        """
        from scipy.integrate import solve_ivp

        found = solve_ivp(
            lambda t, w: self.velocity(w),
            (0, times[-1]),
            start,
            method="LSODA",
            t_eval=times,
            jac=lambda t, w: self.derivative(w),
            rtol=TOLERANCE,
            atol=TOLERANCE / 100,
        )
        if not found.success:
            raise DivergedError(f"the flow could not be integrated to t = {times[-1]:g}: {found.message}")
        points = [self.module(w) for w in found.y.T]
        return Run(
            found.y.T,
            np.stack([at.outputs for at in points]) - self.y,
            np.stack([self.kernel(at) for at in points]) if self.kernels else None,
            np.stack([np.linalg.norm(np.concatenate(at.jacobians, axis=1), axis=1) for at in points]),
        )

    def _over_metric(self, jacobian: Matrix, rows: Matrix) -> Matrix:
        """Rows times G_l⁻¹, by the Woodbury identity (eq. 2 of arXiv 2603.03610)."""
        if self.pulled is None:
            return rows / self.mass
        own = jacobian[self.pulled]
        capacitance = len(own) * self.mass * np.eye(len(own)) + own @ own.T
        found: Matrix = (rows - np.linalg.solve(capacitance, own @ rows.T).T @ own) / self.mass
        return found
