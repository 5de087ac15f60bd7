"""Dense float64 trajectories of the built-in methods, written out from their formulas.

Metrics and gradients are the oracle's, every solve is `numpy.linalg.solve` of the whole matrix, and parameters are flat
blocks throughout; of a method only the settings are read. No code is shared with `rbench.methods`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from rbench.losses import get_loss
from rbench.losses.dense import Numbers
from rbench.methods import KFAC, SGD, Adam, Method, Naive, Riemannian
from rbench.modules import Module, Params
from rbench.testing import oracle
from rbench.testing._networks import flat, shaped
from rbench.testing.oracle import Evaluation

Blocks: TypeAlias = list[Numbers]
"""One flat vector (n,) per layer."""

_FACTORS = {"exact": "ggn", "mc": "ggn_mc", "empirical": "empirical_fisher"}


@dataclass(frozen=True, eq=False)
class _Point(Evaluation):
    """The input of a step: the network, its weights and a batch.

    Attributes:
        y: targets.
        loss: the loss's name.
        step: 0-based index.
        rate: η.
        seed: of the samples.
    """

    y: Numbers
    loss: str
    step: int
    rate: float
    seed: int

    @cached_property
    def slopes(self) -> Blocks:
        """Every layer's gradient, (n,)."""
        return self.gradients(self.loss, self.y)

    def value(self) -> float:
        """The batch's mean loss."""
        value = get_loss(self.loss).dense.value
        return float(np.mean([value(z, y) for z, y in zip(self.outputs, self.y, strict=True)]))

    def metrics(self, name: str | Any, rank: int) -> Numbers:
        """The output metric of every datum, (batch, d, d)."""
        return oracle.output_metrics(name, self.loss, self.outputs, self.y, rank, self.seed, self.step)


_Direction: TypeAlias = Callable[[_Point], Blocks]
_Move: TypeAlias = Callable[[Blocks, _Point], Blocks]


def trajectory(
    net: Module,
    params: Params,
    x: Numbers | tuple[Numbers, ...],
    y: Numbers,
    *,
    loss: str,
    method: Method,
    seed: int = 0,
) -> list[Numbers]:
    """Train a network, one step per batch.

    Samples are those of `rbench.random.generator(seed, "samples", t)` at step t, as in a run.

    Args:
        net: a network with one output wire of shape (d,).
        params: initial parameters, NumPy float64.
        x: the inputs of every step, (steps, batch, *shape), or a tuple of one array per wire.
        y: the targets of every step, (steps, batch) labels or (steps, batch, d).
        loss: the loss's name.
        method: a built-in method.
        seed: of the samples.

    Returns:
        The mean losses before every step (steps,), then the final flat block (n,) of every layer.

    Raises:
        KeyError: the method is not a built-in one.
    """
    move = _MOVES[type(method)](method)
    steps = len(y)
    wires = x if isinstance(x, tuple) else (x,)
    weights = [flat(block) for block in params]
    losses = []
    for step in range(steps):
        blocks = tuple(shaped(w, layer) for w, layer in zip(weights, net.layers, strict=True))
        batch = tuple(wire[step] for wire in wires), y[step]
        point = _Point(net, blocks, *batch, loss, step, _rate(method, step, steps), seed)
        losses.append(point.value())
        weights = move(weights, point)
    return [np.asarray(losses), *weights]


def _rate(method: Method, step: int, steps: int) -> float:
    left = {"constant": 1.0, "linear": (steps - step) / steps, "cosine": np.cos(np.pi * step / steps / 2) ** 2}
    return float(method.lr * left[method.schedule])


def _adam(method: Adam) -> _Move:
    first: list[Blocks] = []

    def move(weights: Blocks, point: _Point) -> Blocks:
        """Averages as sums over all gradients so far: m̂ = Σ_s β^(t−s) g_s / Σ_s β^(t−s)."""
        first.append(point.slopes)
        m, s = _average(first, method.beta1), _average([[g**2 for g in past] for past in first], method.beta2)
        return [
            w - point.rate * (a / (np.sqrt(b) + method.epsilon) + method.weight_decay * w)
            for w, a, b in zip(weights, m, s, strict=True)
        ]

    return move


def _average(history: list[Blocks], beta: float) -> Blocks:
    """Exponentially weighted means; the weights add up to 1."""
    weights = np.array([beta ** (len(history) - 1 - past) for past in range(len(history))])
    return [np.tensordot(weights / weights.sum(), np.stack(layer), axes=1) for layer in zip(*history, strict=True)]


def _descent(method: SGD | Riemannian | Naive | KFAC, direction: _Direction, nesterov: bool = False) -> _Move:
    velocity: list[Any] = []

    def move(weights: Blocks, point: _Point) -> Blocks:
        """v ← μ v + Δ, w ← w − η (v + λ w); Nesterov's with Δ + μ v for the last v."""
        deltas = direction(point)
        velocity[:] = [method.momentum * v + d for v, d in zip(velocity or [0.0] * len(deltas), deltas, strict=True)]
        pushes = [d + method.momentum * v if nesterov else v for v, d in zip(velocity, deltas, strict=True)]
        return [w - point.rate * (p + method.weight_decay * w) for w, p in zip(weights, pushes, strict=True)]

    return move


def _preconditioned(method: Riemannian | Naive) -> _Direction:
    metrics: Blocks = []

    def direction(point: _Point) -> Blocks:
        """Δ = (M + VᵀV)⁻¹ g, with V of the first data of the last batch at which the metric was due."""
        if point.step % method.refresh == 0:
            outputs = point.metrics(method.output_metric, method.rank)[: method.metric_batch]
            masses = oracle.mass_diagonals(method.mass, point.net.layers)
            metrics[:] = [
                oracle.layer_metric(jacobian[: method.metric_batch], outputs, mass, method.batch)
                for jacobian, mass in zip(point.jacobians, masses, strict=True)
            ]
        return _solved(metrics, point, method.kl_clip)

    return direction


def _kfac(method: KFAC) -> _Direction:
    averages: list[tuple[Any, Any]] = []

    def direction(point: _Point) -> Blocks:
        """Δ = (A ⊗ G, damped)⁻¹ g, with running averages of the factors."""
        if point.step % method.refresh == 0:
            outputs = point.metrics(_FACTORS[method.factors], method.rank)
            new = oracle.kronecker_factors(point.net, point.params, point.x, outputs, method.sharing)
            keep = min(point.step // method.refresh / (point.step // method.refresh + 1), method.decay)
            old = averages or [(0 * a, 0 * g) for a, g in new]
            averages[:] = [
                (keep * a + (1 - keep) * new_a, keep * g + (1 - keep) * new_g)
                for (a, g), (new_a, new_g) in zip(old, new, strict=True)
            ]
        metrics = [
            _kronecker(a, g, method, layer.fan_in) for (a, g), layer in zip(averages, point.net.layers, strict=True)
        ]
        return _solved(metrics, point, method.kl_clip)

    return direction


def _kronecker(a: Numbers, g: Numbers, method: KFAC, fan_in: int) -> Numbers:
    """The damped metric (n, n) in the order of flat blocks: entry (i, j) of the weight stands before all biases."""
    if method.damping_split == "eigen":
        matrix = np.kron(g, a) + method.damping * np.eye(len(g) * len(a))
    else:
        pi = np.sqrt((np.trace(a) / len(a)) / (np.trace(g) / len(g)))
        root = np.sqrt(method.damping)
        matrix = np.kron(g + root / pi * np.eye(len(g)), a + pi * root * np.eye(len(a)))
    places = np.arange(len(matrix)).reshape(len(g), len(a))
    order = np.concatenate([places[:, :fan_in].ravel(), places[:, fan_in:].ravel()])
    return np.asarray(matrix[np.ix_(order, order)])


def _solved(metrics: Blocks, point: _Point, kl_clip: float | None) -> Blocks:
    """Δ = G⁻¹ g, scaled by min(1, √(c / (η² gᵀΔ)))."""
    gradients = point.slopes
    deltas = [np.linalg.solve(metric, g) for metric, g in zip(metrics, gradients, strict=True)]
    slope = sum(float(g @ d) for g, d in zip(gradients, deltas, strict=True))
    scale = 1.0 if kl_clip is None or slope <= 0 else min(1.0, np.sqrt(kl_clip / slope) / point.rate)
    return [scale * d for d in deltas]


_MOVES: dict[type[Method], Callable[[Any], _Move]] = {
    SGD: lambda method: _descent(method, lambda point: point.slopes, method.nesterov),
    Adam: _adam,
    Riemannian: lambda method: _descent(method, _preconditioned(method)),
    Naive: lambda method: _descent(method, _preconditioned(method)),
    KFAC: lambda method: _descent(method, _kfac(method)),
}
