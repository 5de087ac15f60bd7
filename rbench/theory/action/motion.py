"""Statements about motion in the weights: Hamilton's equations, the second variation, and geodesics."""

from typing import Any, ClassVar

import numpy as np

from rbench.backend import Backend
from rbench.random import generator
from rbench.theory.action.flows import TanhFlow
from rbench.theory.action.hamilton import Hamiltonian, differentiated, directional, fastest, solve
from rbench.theory.action.path import gauss
from rbench.theory.action.statement import Found, Statement
from rbench.theory.flow import Field, Matrix, Vector
from rbench.theory.suite import Kinds


class _OfFlow(Statement):
    """A statement about the flow of a network."""

    of: ClassVar[Kinds] = (TanhFlow,)


class HamiltonsEquations(_OfFlow):
    """Hamilton's ṗ is −∇_w H at a random p, by differences of H; the control leaves the metric's derivatives out."""

    name: ClassVar[str] = "hamilton"
    summary: ClassVar[str] = "Theorem 2: Hamilton's equations at a random momentum, error relative to ‖∇H‖"
    allowed: ClassVar[float] = 1e-7

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        field, w = task.field(backend), task.start(backend, seed)
        p = field(w).metric @ generator(seed, "samples").normal(size=len(w))
        exact = -differentiated(lambda at: Hamiltonian(field).value(at, p), w)
        errors = [
            float(np.linalg.norm(Hamiltonian(field, metric_moves=moves).rates(w, p)[1] - exact) / np.linalg.norm(exact))
            for moves in (True, False)
        ]
        return Found(errors[0], control=None if task.metric is None else errors[1])


class Retraced(_OfFlow):
    """Hamilton's equations from p = ∓∇E retrace the flow, for as long as rounding allows."""

    name: ClassVar[str] = "retrace"
    summary: ClassVar[str] = "Theorem 2: the largest distance of Hamilton's path to the flow, relative to its weights"
    allowed: ClassVar[float] = 1e-5

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        field, w = task.field(backend), task.start(backend, seed)
        times = np.linspace(0, horizon(task, field, w), 17)
        flow = solve(lambda _, at: task.sign * field(at).velocity, w, times)[1]
        path = Hamiltonian(field).path(w, task.sign * field(w).gradient, times)[1]
        if len(path) < len(times):
            return Found(np.inf)
        return Found(float(np.linalg.norm(path - flow, axis=1).max() / np.linalg.norm(flow, axis=1).max()))


class Growth(_OfFlow):
    """An error y = p + ∇E of the momentum obeys ẏ = (Du)ᵀy along the flow, so that retracing ends in time.

    The error begins along the direction that grows fastest, by λ = max Re eig Du.
    """

    name: ClassVar[str] = "growth"
    summary: ClassVar[str] = "logarithm of the growth of an error of p, by Hamilton's equations and by the linear one"
    allowed: ClassVar[float] = 1e-3

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        field, w = task.field(backend), task.start(backend, seed)
        n = len(w)
        times = np.linspace(0, horizon(task, field, w) / 2, 2)
        values, vectors = np.linalg.eig(differentiated(lambda at: field(at).velocity, w))
        first = vectors[:, values.real.argmax()].real
        first *= 1e-6 * np.linalg.norm(field(w).gradient) / np.linalg.norm(first)
        _, path, momenta = Hamiltonian(field).path(w, first - field(w).gradient, times)
        grown = momenta[-1] + field(path[-1]).gradient

        def rates(_: float, state: Vector) -> Vector:
            at, y = state[:n], state[n:]
            return np.concatenate([-field(at).velocity, differentiated(lambda at: field(at).velocity @ y, at)])

        linear = solve(rates, np.concatenate([w, first]), times, 1e-6)[1][-1, n:]
        logs = [float(np.log(np.linalg.norm(y) / np.linalg.norm(first))) for y in (grown, linear)]
        return Found(*logs)

    def refuses(self, task: Any) -> str | None:
        return super().refuses(task) or ("is about descent" if task.ascent else None)


class SecondVariation(_OfFlow):
    """S[w + εη] − S[w] = ½ ε² ∫ ‖η̇ + (Du) η‖²_G dt + O(ε³) where η vanishes at both ends: the flow is a minimum."""

    name: ClassVar[str] = "second-variation"
    summary: ClassVar[str] = "change of the action of a flow that is moved, over ε²/2, against the second variation"
    allowed: ClassVar[float] = 0.01

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        field, w = task.field(backend), task.start(backend, seed)
        times, weights = gauss(task.seconds, 20)
        flow = solve(lambda _, at: task.sign * field(at).velocity, w, np.array([0.0, *times]))[1][1:]
        shapes = generator(seed, "samples").normal(size=(2, len(w)))
        epsilon = 1e-3
        measured = predicted = 0.0
        for time, weight, at in zip(times, weights, flow, strict=True):
            angles = np.pi * np.array([1, 2]) * time / task.seconds
            eta = np.sin(angles) @ shapes
            rate = np.pi * np.array([1, 2]) / task.seconds * np.cos(angles) @ shapes
            here = field(at)
            moved = field(at + epsilon * eta)
            off = task.sign * (here.velocity - moved.velocity) + epsilon * rate
            change = rate - task.sign * directional(lambda at: field(at).velocity, at, eta)
            measured += weight * moved.inner(off, off) / epsilon**2
            predicted += weight * here.inner(change, change)
        return Found(float(measured), float(predicted))


class ConstantSpeed(_OfFlow):
    """Without the potential ‖ẇ‖_G stays as it is; the control has the potential."""

    name: ClassVar[str] = "geodesic-speed"
    summary: ClassVar[str] = "Remark 1: relative change of ‖ẇ‖_G along the path without potential"
    allowed: ClassVar[float] = 1e-7

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        field, w = task.field(backend), task.start(backend, seed)
        times = np.linspace(0, 1, 9)
        changes = []
        for potential in (0.0, 1.0):
            _, path, momenta = Hamiltonian(field, potential).path(w, -field(w).gradient, times, 1e-10)
            squares = [float(p @ np.linalg.solve(field(at).metric, p)) for at, p in zip(path, momenta, strict=True)]
            speeds = np.sqrt(squares)
            changes.append(float(np.abs(speeds / speeds[0] - 1).max()))
        return Found(changes[0], control=changes[1])


class GeodesicLimit(_OfFlow):
    """Paths with potential s times the action's approach the geodesic linearly in s."""

    name: ClassVar[str] = "geodesic-limit"
    summary: ClassVar[str] = "Remark 1: order in s of the distance to the geodesic"
    allowed: ClassVar[float] = 0.05

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        field, w = task.field(backend), task.start(backend, seed)
        ends = [
            Hamiltonian(field, potential).path(w, -field(w).gradient, np.array([0.0, 1.0]), 1e-9)[1][-1]
            for potential in (0.0, 0.01, 0.02)
        ]
        near, far = (float(np.linalg.norm(end - ends[0])) for end in ends[1:])
        return Found(float(np.log2(far / near)), 1.0)


class Embedding(_OfFlow):
    """One layer's G with the identity at the outputs is JᵀJ of Φ = (√M w, f/√B): along a geodesic JᵀΦ̈ = 0.

    So a geodesic of the weights is one of the surface Φ, without Christoffel symbols. The control is a straight line.
    """

    name: ClassVar[str] = "geodesic-embedding"
    summary: ClassVar[str] = "Remark 1: ‖JᵀΦ̈‖ over ‖J‖ ‖Φ̈‖ along a geodesic of one layer"
    allowed: ClassVar[float] = 1e-5

    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        field, w = task.field(backend), task.start(backend, seed)
        x, _ = task.data()

        def embedded(at: Vector) -> Vector:
            return np.concatenate([task.mass**0.5 * at, np.ravel(task.outputs(backend, at)) / len(x) ** 0.5])

        step = 0.02
        times = step * np.arange(9)
        path = Hamiltonian(field, 0.0).path(w, -field(w).gradient, times)[1]
        straight = w + np.outer(times, (path[1] - path[0]) / step)
        return Found(_normal(embedded, path, step), control=_normal(embedded, straight, step))

    def refuses(self, task: Any) -> str | None:
        known = super().refuses(task)
        if known is None and (task.hidden is not None or task.metric != "identity"):
            return "is about one layer with the identity at its outputs, tanh[hidden=none,metric=identity]"
        return known


STATEMENTS = (HamiltonsEquations, Retraced, Growth, SecondVariation, ConstantSpeed, GeodesicLimit, Embedding)


def horizon(task: TanhFlow, field: Field, w: Vector) -> float:
    """Seconds over which an error grows by about e¹² at the rate of the start, 8 at most; an ascent has its own."""
    return task.seconds if task.ascent else min(8.0, 12 / fastest(field, w))


def _normal(embedded: Any, path: Matrix, step: float) -> float:
    """The largest ‖JᵀΦ̈‖ / (‖J‖ ‖Φ̈‖) along nodes at equal times, by central differences of order 6."""
    images = np.stack([embedded(at) for at in path])
    shares = []
    for k in range(3, len(path) - 3):
        weights = np.array([2, -27, 270, -490, 270, -27, 2]) / 180
        second = weights @ images[k - 3 : k + 4] / step**2
        jacobian = differentiated(embedded, path[k])
        shares.append(np.linalg.norm(jacobian @ second) / np.linalg.norm(jacobian, 2) / np.linalg.norm(second))
    return float(max(shares))
