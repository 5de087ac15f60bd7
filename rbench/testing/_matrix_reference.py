"""Dense float64 moves of the methods that take a layer's gradient as a matrix, written out from their formulas.

Averages are weighted sums over all gradients so far, roots are of the whole Kronecker product or by singular values,
and sensitivities are added up forwards, from a layer to the outputs. No code is shared with `rbench.methods`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg

from rbench.losses.dense import Numbers
from rbench.methods import SOAP, ModularNorm, Muon, Shampoo
from rbench.modules import (
    GELU,
    Add,
    Copy,
    Layer,
    MaxPool2d,
    Module,
    Parallel,
    ReLU,
    ScaleShift,
    Sequential,
    Sigmoid,
)
from rbench.testing._dense_metrics import Blocks, Move, Point


def _matrix(layer: Layer, vector: Numbers) -> Numbers:
    """A flat block with rows for outputs and columns for inputs, the bias last."""
    weights = layer.fan_out * layer.fan_in
    columns = [vector[:weights].reshape(layer.fan_out, layer.fan_in)]
    return np.hstack([*columns, vector[weights:, None]] if layer.bias else columns)


def _flat(layer: Layer, matrix: Numbers) -> Numbers:
    return np.concatenate([matrix[:, : layer.fan_in].ravel(), matrix[:, layer.fan_in :].ravel()])


def weighted_mean(history: Sequence[Numbers], decay: float) -> Numbers:
    """The average of numbers at steps s = 0 … t with weights ρ^(t − s), divided by their sum."""
    weights = decay ** np.arange(len(history) - 1.0, -1.0, -1.0)
    return np.asarray(np.tensordot(weights / weights.sum(), np.stack(history), axes=1))


def shampoo(method: Shampoo) -> Move:
    """v ← μ v + Δ with vec Δ = (L^(1/4) ⊗ R^(1/4))⁻¹ vec G, all of it in one matrix per layer."""
    history: list[list[Numbers]] = []
    kept: list[Numbers] = []
    velocity: list[Any] = []

    def total(arrays: list[Numbers]) -> Numbers:
        return np.sum(arrays, axis=0) if method.decay is None else weighted_mean(arrays, method.decay)

    def move(weights: Blocks, point: Point) -> Blocks:
        layers = point.net.layers
        history.append([_matrix(layer, slope) for layer, slope in zip(layers, point.slopes, strict=True)])
        if point.step % method.refresh == 0:
            kept[:] = []
            for past in zip(*history, strict=True):
                sides = [total([g @ g.T for g in past]), total([g.T @ g for g in past])]
                roots = [scipy.linalg.sqrtm(scipy.linalg.sqrtm(s + method.epsilon * np.eye(len(s)))) for s in sides]
                kept.append(np.kron(*roots).real)
        deltas = []
        for root, past in zip(kept, zip(*history, strict=True), strict=True):
            g = past[-1]
            delta = np.linalg.solve(root, g.ravel()).reshape(g.shape)
            if method.graft == "adam":
                g = g / (np.sqrt(total([each**2 for each in past])) + method.graft_epsilon)
            if method.graft is not None:
                delta *= np.linalg.norm(g) / np.linalg.norm(delta)
            deltas.append(delta)
        velocity[:] = [method.momentum * v + d for v, d in zip(velocity or [0.0] * len(deltas), deltas, strict=True)]
        pushes = [_flat(layer, v) for layer, v in zip(layers, velocity, strict=True)]
        return [w - point.rate * (p + method.weight_decay * w) for w, p in zip(weights, pushes, strict=True)]

    return move


def soap(method: SOAP) -> Move:
    """w ← w − η (Q [m̂ / (√ŝ + ε)] Pᵀ + λ w), m the average of G itself, s of the squares in each step's own basis.

    Q and P are the singular vectors of the averages of G Gᵀ and GᵀG, largest first. At a renewal the squares so far are
    ordered by what the averages are along the old vectors.
    """
    history: list[list[Numbers]] = []
    squares: list[list[Numbers]] = []
    bases: list[tuple[Numbers, Numbers]] = []

    def move(weights: Blocks, point: Point) -> Blocks:
        layers = point.net.layers
        history.append([_matrix(layer, slope) for layer, slope in zip(layers, point.slopes, strict=True)])
        bases[:] = bases or [(np.eye(layer.fan_out), np.eye(layer.width)) for layer in layers]
        squares.append([(q.T @ g @ p) ** 2 for (q, p), g in zip(bases, history[-1], strict=True)])
        moved = []
        for index, (layer, w, (q, p)) in enumerate(zip(layers, weights, bases, strict=True)):
            m = q.T @ weighted_mean([past[index] for past in history], method.beta1) @ p
            s = weighted_mean([past[index] for past in squares], method.beta2)
            step = _flat(layer, q @ (m / (np.sqrt(s) + method.epsilon)) @ p.T)
            moved.append(w - point.rate * (step + method.weight_decay * w))
        if len(history) % method.refresh == 0:
            for index, past in enumerate(zip(*history, strict=True)):
                sides = (
                    weighted_mean([g @ g.T for g in past], method.decay),
                    weighted_mean([g.T @ g for g in past], method.decay),
                )
                pairs = zip(sides, bases[index], strict=True)
                places = np.ix_(*(np.argsort([-b @ side @ b for b in basis.T]) for side, basis in pairs))
                for earlier in squares:
                    earlier[index] = earlier[index][places]
                q, p = (np.linalg.svd(side, hermitian=True)[0] for side in sides)
                bases[index] = q, p
        return moved

    return move


def muon(method: Muon) -> Move:
    """Momentum as a sum over all gradients, its singular values taken through the polynomial; and Adam for the rest."""
    history: list[Blocks] = []

    def orthogonal(past: list[Numbers]) -> Numbers:
        """√max(1, rows / columns) O, given the gradients of a weight."""
        v = sum(method.momentum**age * g for age, g in enumerate(reversed(past)))
        u, s, vt = np.linalg.svd(past[-1] + method.momentum * v if method.nesterov else v, full_matrices=False)
        s = s / np.sqrt(np.sum(s**2))
        for _ in range(method.iterations):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        return np.asarray(np.sqrt(max(1, len(u) / vt.shape[1])) * (u * s) @ vt)

    def move(weights: Blocks, point: Point) -> Blocks:
        history.append(point.slopes)
        rate = point.rate / method.lr * method.adam_lr
        moved = []
        for index, (layer, w) in enumerate(zip(point.net.layers, weights, strict=True)):
            past = [slopes[index] for slopes in history]
            s = weighted_mean([g**2 for g in past], method.beta2)
            step = rate * (weighted_mean(past, method.beta1) / (np.sqrt(s) + method.epsilon) + method.weight_decay * w)
            last = index == len(weights) - 1 and method.last == "adam"
            if not isinstance(layer, ScaleShift) and not last:
                size = layer.fan_out * layer.fan_in
                o = orthogonal([g[:size].reshape(layer.fan_out, layer.fan_in) for g in past])
                step[:size] = point.rate * (o.ravel() + method.weight_decay * w[:size])
            moved.append(w - step)
        return moved

    return move


def modular_norm(method: ModularNorm) -> Move:
    """w_l ← w_l − η m_l / (M σ_l) (Δ_l / ‖Δ_l‖ + λ w_l), the power iteration with the matrix Δ_lᵀΔ_l."""
    history: list[Blocks] = []
    vectors: list[Numbers] = []

    def length(index: int, layer: Layer, delta: Numbers) -> float:
        """‖Δ_l‖, with the vector of the iteration moved on."""
        if isinstance(layer, ScaleShift):
            gain, offset = np.split(delta[:, 0], 2)
            return float(np.linalg.norm(gain, np.inf) + np.sqrt(np.mean(offset**2)))
        square = delta.T @ delta
        value = 0.0
        for _ in range(method.iterations):
            x = vectors[index]
            value = np.linalg.norm(square @ x) / np.sqrt(x @ square @ x)
            vectors[index] = square @ x / np.linalg.norm(square @ x)
        least = np.sqrt(np.trace(square) / min(delta.shape))
        return float(np.sqrt(delta.shape[1] / delta.shape[0]) * max(value, least))

    def move(weights: Blocks, point: Point) -> Blocks:
        layers = point.net.layers
        history.append(point.slopes)
        vectors[:] = vectors or [np.ones(layer.width) / np.sqrt(layer.width) for layer in layers]
        masses = np.array(method.masses or [1.0] * len(layers))
        moved = []
        for index, (layer, w) in enumerate(zip(layers, weights, strict=True)):
            past = [slopes[index] for slopes in history]
            delta = weighted_mean(past, method.beta1)
            if method.base == "adam":
                delta = delta / (np.sqrt(weighted_mean([g**2 for g in past], method.beta2)) + method.epsilon)
            rate = point.rate * masses[index] / masses.sum() / sensitivity(point.net, index)
            step = delta / length(index, layer, _matrix(layer, delta))
            moved.append(w - rate * (step + method.weight_decay * w))
        return moved

    return move


_SLOPES: dict[type[Module], float] = {Sigmoid: 1 / 4, ReLU: 1 / np.sqrt(2), GELU: 1 / np.sqrt(2)}


def sensitivity(net: Module, index: int) -> float:
    """How much the outputs, the sum of their wires, grow with those of a layer."""
    seen = iter(range(len(net.layers)))
    return sum(_grown(net, (0.0,) * len(net.in_space), seen, index))


def _grown(module: Module, wires: tuple[float, ...], seen: Any, index: int) -> tuple[float, ...]:
    match module:
        case Sequential(modules=parts):
            for part in parts:
                wires = _grown(part, wires, seen, index)
            return wires
        case Parallel(modules=parts):
            rest = iter(wires)
            shares = [tuple(next(rest) for _ in part.in_space) for part in parts]
            grown = [_grown(part, share, seen, index) for part, share in zip(parts, shares, strict=True)]
            return tuple(wire for each in grown for wire in each)
        case Layer():
            return (wires[0] + (next(seen) == index),)
        case Copy():
            return 2 * wires
        case Add():
            return (sum(wires),)
        case MaxPool2d(kernel=kernel):
            return (kernel * wires[0],)
    return (_SLOPES.get(type(module), 1.0) * wires[0],)
