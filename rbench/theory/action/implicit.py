"""Statements on implicit layers and differential-algebraic equations (Remark 3 of arXiv 2603.03610)."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from rbench.backend import Backend
from rbench.modules import Equilibrium, Linear
from rbench.random import generator
from rbench.spec import Configurable
from rbench.theory.action.flows import TanhFlow
from rbench.theory.action.hamilton import differentiated, solve
from rbench.theory.action.statement import Found, Statement
from rbench.theory.flow import Matrix, Vector
from rbench.theory.suite import Kinds


class ImplicitFlow(TanhFlow):
    """The flow of a network whose hidden layer is an equilibrium, z = tanh(W [κz; x] + b)."""

    name: ClassVar[str] = "implicit"
    summary: ClassVar[str] = "the flow of a network with an implicit layer on 12 data"
    hidden: int = Field(6, ge=1)

    @property
    def network(self) -> Any:
        """The network."""
        return Equilibrium(3, self.hidden) >> Linear(self.hidden, 2)


class ImplicitGradient(Statement):
    """An implicit layer's weights get K_wᵀμ with K_zᵀμ = −∂ℓ/∂z: one transposed solve for each row."""

    name: ClassVar[str] = "implicit-gradient"
    summary: ClassVar[str] = "Remark 3: gradient through an implicit layer, relative error to differences of E"
    of: ClassVar[Kinds] = (ImplicitFlow,)
    allowed: ClassVar[float] = 1e-7

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        w = task.start(backend, seed)
        field = task.field(backend)
        exact = differentiated(lambda at: field(at).value, w)
        return Found(float(np.linalg.norm(field(w).gradient - exact) / np.linalg.norm(exact)))


class IndexOne(Configurable):
    """ẋ = −x + C z with 0 = K = z − tanh(A z + B x), of index 1 because K_z is regular; Φ = ½ ‖x(T)‖².

    Attributes:
        seconds: T.
    """

    name: ClassVar[str] = "index-1"
    summary: ClassVar[str] = "a differential-algebraic system of two differential and three algebraic variables"
    seconds: float = Field(2.0, gt=0)

    def weights(self, seed: int) -> Vector:
        """A (3, 3), small enough for one solution z, B (3, 2) and C (2, 3), as one vector (21,)."""
        draw = generator(seed, "weights").normal
        return np.concatenate([0.2 * draw(size=9), draw(size=6), draw(size=6)])

    def algebraic(self, x: Vector, w: Vector) -> Vector:
        """z of K(z, x, w) = 0, by Newton's method."""
        a, b, _ = _matrices(w)
        z = np.zeros(3)
        for _ in range(50):
            t = np.tanh(a @ z + b @ x)
            step = np.linalg.solve(np.eye(3) - (1 - t**2)[:, None] * a, z - t)
            z = z - step
            if np.abs(step).max() < 1e-15:
                break
        return z

    def end(self, w: Vector) -> Vector:
        """x(T), from x(0) = (1, −1)."""
        _, _, c = _matrices(w)
        times = np.array([0.0, self.seconds])
        found: Vector = solve(lambda _, x: c @ self.algebraic(x, w) - x, np.array([1.0, -1.0]), times)[1][-1]
        return found

    def adjoint(self, w: Vector) -> Vector:
        """dΦ/dw = ∫ (F_wᵀλ + K_wᵀμ) dt, with λ̇ = −F_xᵀλ − K_xᵀμ, K_zᵀμ = −F_zᵀλ and λ(T) = Φ_x; (21,)."""
        a, b, c = _matrices(w)

        def rates(_: float, state: Vector) -> Vector:
            x, adjoint = state[:2], state[2:4]
            z = self.algebraic(x, w)
            d = (1 - z**2)[:, None]
            mu = np.linalg.solve((np.eye(3) - d * a).T, -c.T @ adjoint)
            pushed = -d[:, 0] * mu  # K_wᵀμ and K_xᵀμ are products of this
            parts = [np.outer(pushed, z), np.outer(pushed, x), np.outer(adjoint, z)]
            gained = np.concatenate([part.ravel() for part in parts])
            return np.concatenate([c @ z - x, adjoint - b.T @ pushed, -gained])

        x = self.end(w)
        times = np.array([self.seconds, 0.0])
        found: Vector = solve(rates, np.concatenate([x, x, np.zeros(21)]), times)[1][-1, 4:]
        return found


class Adjoint(Statement):
    """The adjoint of a system of index 1 gives the derivative of a function of its end."""

    name: ClassVar[str] = "index-1-adjoint"
    summary: ClassVar[str] = "Remark 3: dΦ/dw by the adjoint system, relative error to differences of Φ"
    of: ClassVar[Kinds] = (IndexOne,)
    allowed: ClassVar[float] = 1e-7

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        w = task.weights(seed)
        exact = differentiated(lambda at: float(np.sum(task.end(at) ** 2)) / 2, w)
        return Found(float(np.linalg.norm(task.adjoint(w) - exact) / np.linalg.norm(exact)))


STATEMENTS = (ImplicitGradient, Adjoint)


def _matrices(w: Vector) -> tuple[Matrix, Matrix, Matrix]:
    """A, B and C."""
    return w[:9].reshape(3, 3), w[9:15].reshape(3, 2), w[15:].reshape(2, 3)
