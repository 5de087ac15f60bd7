"""Statements on the Brayton-Moser equations of a circuit (Remark 2 of arXiv 2603.03610), whose metric is indefinite."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from rbench.backend import Backend
from rbench.random import generator
from rbench.spec import Configurable
from rbench.theory.action.hamilton import solve
from rbench.theory.action.path import gauss
from rbench.theory.action.statement import Found, Statement
from rbench.theory.flow import Matrix, Vector
from rbench.theory.suite import Kinds


class RLC(Configurable):
    """A coil, a resistor and a capacitor in series with a source; x = (i, v), from rest.

    With P = ½ R i² − E i + i v and Q = diag(L, −C) the circuit obeys Q ẋ = −∇P: L di/dt = −Ri + E − v, C dv/dt = i.

    Attributes:
        inductance: L.
        capacitance: C.
        resistance: R, below 2√(L/C), so that the circuit swings.
        voltage: E.
        seconds: T.
    """

    name: ClassVar[str] = "rlc"
    summary: ClassVar[str] = "a coil, a resistor and a capacitor in series"
    inductance: float = Field(1.0, gt=0)
    capacitance: float = Field(0.5, gt=0)
    resistance: float = Field(0.4, ge=0)
    voltage: float = 1.0
    seconds: float = Field(20.0, gt=0)

    @model_validator(mode="after")
    def _swings(self) -> "RLC":
        if self.resistance >= (most := 2 * (self.inductance / self.capacitance) ** 0.5):
            raise ValueError(f"resistance={self.resistance} damps every swing; give less than 2√(L/C) = {most:.3g}")
        return self

    @property
    def metric(self) -> Vector:
        """The diagonal of Q."""
        return np.array([self.inductance, -self.capacitance])

    def slope(self, x: Matrix) -> Matrix:
        """∇P at states (…, 2)."""
        i, v = x[..., 0], x[..., 1]
        return np.stack([self.resistance * i - self.voltage + v, i], axis=-1)

    def potential(self, x: Vector) -> float:
        """P."""
        i, v = x
        return float(self.resistance * i**2 / 2 - self.voltage * i + i * v)

    def closed_form(self, times: Vector) -> Matrix:
        """(i, v) at some times.

        With α = R/2L and ω² = 1/LC − α²: i = (E/Lω) e^{−αt} sin ωt, v = E (1 − e^{−αt} (cos ωt + (α/ω) sin ωt)).
        """
        alpha = self.resistance / (2 * self.inductance)
        omega = (1 / (self.inductance * self.capacitance) - alpha**2) ** 0.5
        decay = np.exp(-alpha * times)
        i = self.voltage / (self.inductance * omega) * decay * np.sin(omega * times)
        v = self.voltage * (1 - decay * (np.cos(omega * times) + alpha / omega * np.sin(omega * times)))
        return np.stack([i, v], axis=-1)

    def rates(self, x: Matrix) -> Matrix:
        """ẋ = −Q⁻¹∇P."""
        return -self.slope(x) / self.metric

    def action(self, x: Matrix, velocity: Matrix, weights: Vector, metric: Vector) -> float:
        """½ ∫ (ẋᵀQẋ + ∇PᵀQ⁻¹∇P) dt for some diagonal Q, by quadrature."""
        slope = self.slope(x)
        return float(weights @ (velocity**2 @ metric + slope**2 @ (1 / metric))) / 2


class _OfCircuit(Statement):
    of: ClassVar[Kinds] = (RLC,)


class BraytonMoser(_OfCircuit):
    """Q ẋ = −∇P are the circuit's equations."""

    name: ClassVar[str] = "brayton-moser"
    summary: ClassVar[str] = "Remark 2: Brayton and Moser's equations, integrated, against the closed form"
    allowed: ClassVar[float] = 1e-9

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        times = np.linspace(0, task.seconds, 101)
        found = solve(lambda _, x: task.rates(x), np.zeros(2), times)[1]
        return Found(float(np.abs(found - task.closed_form(times)).max()))


class CircuitAction(_OfCircuit):
    """S = P(0) − P(T) along the circuit's path; with |Q| in place of Q, the control, it is not."""

    name: ClassVar[str] = "circuit-action"
    summary: ClassVar[str] = "Remark 2: S + ΔP along the circuit's path, with the indefinite metric"
    allowed: ClassVar[float] = 1e-12

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        times, weights = gauss(task.seconds, 200)
        x = task.closed_form(times)
        change = task.potential(task.closed_form(np.array(task.seconds)))
        values = [task.action(x, task.rates(x), weights, metric) + change for metric in (task.metric, abs(task.metric))]
        return Found(values[0], control=values[1])


class FirstVariation(_OfCircuit):
    """The circuit's path is stationary; with |Q| in place of Q, the control, it is not."""

    name: ClassVar[str] = "first-variation"
    summary: ClassVar[str] = "Remark 2: largest first variation of the action over twenty directions"
    allowed: ClassVar[float] = 1e-11

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        times, weights = gauss(task.seconds, 200)
        x = task.closed_form(times)
        found = []
        for metric in (task.metric, abs(task.metric)):
            # S is quadratic in x, so a central difference of any width is its first variation.
            changes = [
                task.action(x + eta, task.rates(x) + rate, weights, metric)
                - task.action(x - eta, task.rates(x) - rate, weights, metric)
                for eta, rate in _moves(task, times, seed)
            ]
            found.append(max(map(abs, changes)) / 2)
        return Found(found[0], control=found[1])


class Saddle(_OfCircuit):
    """The second variation has both signs: the path is stationary, and no minimum."""

    name: ClassVar[str] = "saddle"
    summary: ClassVar[str] = "Remark 2: sign of the least second variation times that of the largest, −1 for a saddle"
    allowed: ClassVar[float] = 0.0

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        times, weights = gauss(task.seconds, 200)
        x = task.closed_form(times)

        def action(eta: Any, rate: Any) -> float:
            return float(task.action(x + eta, task.rates(x) + rate, weights, task.metric))

        second = [action(eta, rate) + action(-eta, -rate) - 2 * action(0, 0) for eta, rate in _moves(task, times, seed)]
        return Found(float(np.sign(min(second)) * np.sign(max(second))), -1.0)


STATEMENTS = (BraytonMoser, CircuitAction, FirstVariation, Saddle)


def _moves(task: RLC, times: Vector, seed: int) -> list[tuple[Matrix, Matrix]]:
    """Twenty η with η(0) = η(T) = 0, and their η̇: random sums of five sines in each coordinate."""
    waves = np.pi * np.arange(1, 6) / task.seconds
    sines, cosines = (function(np.outer(times, waves)) for function in (np.sin, np.cos))
    shapes = generator(seed, "samples").normal(size=(20, 5, 2))
    return [(sines @ shape, cosines @ (waves[:, None] * shape)) for shape in shapes]
