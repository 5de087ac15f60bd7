"""Dense float64 trajectories of the built-in methods, written out from their formulas.

Metrics and gradients are the oracle's, every solve is `numpy.linalg.solve` of the whole matrix, and parameters are flat
blocks throughout; of a method only the settings are read. No code is shared with `rbench.methods`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.linalg

from rbench.losses import get_loss
from rbench.losses.dense import Numbers
from rbench.methods import KFAC, SGD, SOAP, Adam, Method, ModularNorm, Muon, Naive, Riemannian, Shampoo
from rbench.modules import Module, Params
from rbench.testing import _matrix_reference as matrix_reference
from rbench.testing import oracle
from rbench.testing._networks import flat, shaped
from rbench.testing.oracle import Evaluation

Blocks: TypeAlias = list[Numbers]
"""One flat vector (n,) per layer."""

_FACTORS = {"exact": "ggn", "mc": "ggn_mc", "empirical": "empirical_fisher"}


@dataclass(frozen=True, eq=False)
class Point(Evaluation):
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

    def slopes_of(self, count: int | None) -> Blocks:
        """Every layer's gradient of the mean loss over the first data."""
        part = Evaluation(self.net, self.params, tuple(wire[:count] for wire in self.x))
        return part.gradients(self.loss, self.y[:count])

    def value(self) -> float:
        """The batch's mean loss."""
        value = get_loss(self.loss).dense.value
        return float(np.mean([value(z, y) for z, y in zip(self.outputs, self.y, strict=True)]))

    def value_at(self, weights: Blocks) -> float:
        """The batch's mean loss at other flat blocks."""
        blocks = tuple(shaped(w, layer) for w, layer in zip(weights, self.net.layers, strict=True))
        return replace(self, params=blocks).value()

    def metrics(self, name: str | Any, rank: int) -> Numbers:
        """The output metric of every datum, (batch, d, d)."""
        return oracle.output_metrics(name, self.loss, self.outputs, self.y, rank, self.seed, self.step)


_Direction: TypeAlias = Callable[[Point], Blocks]
Move: TypeAlias = Callable[[Blocks, Point], Blocks]
"""One step, with whatever it keeps between steps."""


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
        point = Point(net, blocks, *batch, loss, step, _rate(method, step, steps), seed)
        losses.append(point.value())
        weights = move(weights, point)
    return [np.asarray(losses), *weights]


def _rate(method: Method, step: int, steps: int) -> float:
    left = {"constant": 1.0, "linear": (steps - step) / steps, "cosine": np.cos(np.pi * step / steps / 2) ** 2}
    return float(method.lr * left[method.schedule])


def _adam(method: Adam) -> Move:
    first: list[Blocks] = []

    def move(weights: Blocks, point: Point) -> Blocks:
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


def _descent(method: SGD | Riemannian | Naive | KFAC, direction: _Direction, nesterov: bool = False) -> Move:
    velocity: list[Any] = []
    momentum = 0.0 if _springs(method) else method.momentum

    def move(weights: Blocks, point: Point) -> Blocks:
        """v ← μ v + Δ, w ← w − η (v + λ w), η halved for the least loss; Nesterov's with Δ + μ v for the last v."""
        deltas = direction(point)
        velocity[:] = [momentum * v + d for v, d in zip(velocity or [0.0] * len(deltas), deltas, strict=True)]
        pushes = [d + momentum * v if nesterov else v for v, d in zip(velocity, deltas, strict=True)]

        def moved(rate: float) -> Blocks:
            return [w - rate * (p + method.weight_decay * w) for w, p in zip(weights, pushes, strict=True)]

        if isinstance(method, SGD) or not method.line_search:
            return moved(point.rate)
        return min((moved(point.rate / 2**k) for k in range(method.line_search + 1)), key=point.value_at)

    return move


def _curved(method: Riemannian | Naive | KFAC) -> Move:
    """Descent along Δ = (M + ω VᵀV)⁻¹ g, one dense solve of the whole network's matrix; K-FAC's has no rows."""
    weight = 0.0 if isinstance(method, KFAC) else float(method.rows)
    coupled = isinstance(method, Riemannian) and method.coupling == "network"
    masses = _masses(method)
    kept: list[Numbers] = []
    last: list[Numbers] = []

    def direction(point: Point) -> Blocks:
        """Δ, with the rows of the first data of the last batch at which the metric was due; and clipped."""
        mass = masses(point)
        if point.step % method.refresh == 0:
            kept[:] = [_network_metric(method, point)]
        rows = kept[0] if coupled else _block_diagonal(_blocks(kept[0], point))
        gradient = np.concatenate(point.slopes)
        if _springs(method):
            gradient = gradient + method.momentum * _block_diagonal(mass) @ last[0] if last else gradient
        delta = np.linalg.solve(_block_diagonal(mass) + weight * rows, gradient)
        last[:] = [delta]
        slope = float(gradient @ delta)
        if method.kl_clip is not None and slope > 0:
            delta = delta * min(1.0, np.sqrt(method.kl_clip / slope) / point.rate)
        return np.split(delta, np.cumsum([len(block) for block in point.slopes])[:-1])

    return _descent(method, direction) if method.fit == "none" else _fitted(method, direction)


def _springs(method: Method) -> bool:
    """Whether the momentum is SPRING's, of the last Δ."""
    return isinstance(method, Riemannian | Naive) and method.spring


def _fitted(method: Riemannian | Naive | KFAC, direction: _Direction) -> Move:
    """The step ν Σ_i x_i b_i along directions b_i, of which x solves the dense metric's equations in their span."""
    last: Blocks = []

    def move(weights: Blocks, point: Point) -> Blocks:
        parts = [direction(point), last or [0 * w for w in weights]]
        if method.fit == "layers":
            basis = np.concatenate([_block_diagonal([b[:, None] for b in blocks]) for blocks in parts], axis=1)
        else:
            basis = np.stack([np.concatenate(blocks) for blocks in parts], axis=1)
        basis = basis[:, np.any(basis != 0, axis=0)]  # no last step before the first
        metric = _network_metric(method, point) + method.fit_damping * np.eye(len(basis))
        matrix = basis.T @ metric @ basis
        slopes = basis.T @ np.concatenate(point.slopes_of(_metric_data(method, point)))
        x = np.linalg.solve(matrix + 1e-3 * np.diag(np.diag(matrix)), slopes)
        trust = point.value() if method.trust == "loss" else method.trust
        step = min(1.0, np.sqrt(trust / (slopes @ x))) * (basis @ x)
        last[:] = np.split(step, np.cumsum([len(w) for w in weights])[:-1])
        return [w - point.rate * (s + method.weight_decay * w) for w, s in zip(weights, last, strict=True)]

    return move


def _metric_data(method: Riemannian | Naive | KFAC, point: Point) -> int | None:
    """How many data, the first of the batch, have their metric taken; None for all."""
    given = method.metric_batch
    return max(1, round(given * len(point.y))) if isinstance(given, float) else given


def _network_metric(method: Riemannian | Naive | KFAC, point: Point) -> Numbers:
    """VᵀV of the whole network, (n, n), for the data whose metric is taken."""
    treatment = "stack" if isinstance(method, KFAC) else method.batch
    jacobian = np.concatenate(point.jacobians, axis=2)[: _metric_data(method, point)]
    return oracle.layer_metric(jacobian, _outputs(method, point), np.zeros(jacobian.shape[2]), treatment)


def _outputs(method: Riemannian | Naive | KFAC, point: Point) -> Numbers:
    """The output metrics of the data whose metric is taken."""
    name = _FACTORS[method.factors] if isinstance(method, KFAC) else method.output_metric
    return point.metrics(name, method.rank)[: _metric_data(method, point)]


def _blocks(matrix: Numbers, point: Point) -> Blocks:
    """The diagonal blocks of the layers."""
    ends = np.cumsum([len(block) for block in point.slopes])
    starts = [0, *ends[:-1]]
    return [matrix[start:end, start:end] for start, end in zip(starts, ends, strict=True)]


def _block_diagonal(blocks: Blocks) -> Numbers:
    return np.asarray(scipy.linalg.block_diag(*blocks))


def _masses(method: Riemannian | Naive | KFAC) -> Callable[[Point], Blocks]:
    """The mass (n, n) of every layer at a step."""
    if isinstance(method, KFAC):
        return _kronecker_masses(method, method.refresh)
    if method.mass == "kronecker":
        return _kronecker_masses(method, method.factor_refresh)
    if method.mass != "diagonal":
        return lambda point: [np.diag(mass) for mass in oracle.mass_diagonals(method.mass, point.net.layers)]

    def diagonals(point: Point) -> list[tuple[Any, ...]]:
        return [(np.diag(block),) for block in _blocks(_network_metric(method, point), point)]

    averages = _averages(method, method.factor_refresh, diagonals)
    return lambda point: [np.diag(values + method.damping) for (values,) in averages(point)]


def _kronecker_masses(method: Riemannian | Naive | KFAC, refresh: int) -> Callable[[Point], Blocks]:
    """(A ⊗ G, damped) of every layer at a step, with running averages of the factors."""

    def factors(point: Point) -> list[tuple[Any, ...]]:
        sharing = method.sharing if isinstance(method, KFAC) else "expand"
        outputs = _outputs(method, point)
        x = tuple(wire[: _metric_data(method, point)] for wire in point.x)
        return list(oracle.kronecker_factors(point.net, point.params, x, outputs, sharing))

    averages = _averages(method, refresh, factors)
    split = method.damping_split if isinstance(method, KFAC) else "pi"

    def masses(point: Point) -> Blocks:
        pairs = zip(averages(point), point.net.layers, strict=True)
        return [_kronecker(a, g, method.damping, split, layer.fan_in) for (a, g), layer in pairs]

    return masses


def _averages(
    method: Riemannian | Naive | KFAC, refresh: int, values: Callable[[Point], list[tuple[Any, ...]]]
) -> Callable[[Point], list[tuple[Any, ...]]]:
    """Running averages of arrays of every layer, updated at every `refresh`-th step."""
    kept: list[tuple[Any, ...]] = []

    def averages(point: Point) -> list[tuple[Any, ...]]:
        if point.step % refresh == 0:
            new = values(point)
            keep = min(point.step // refresh / (point.step // refresh + 1), method.decay)
            old = kept or [tuple(0 * array for array in arrays) for arrays in new]
            kept[:] = [
                tuple(keep * a + (1 - keep) * b for a, b in zip(*pair, strict=True))
                for pair in zip(old, new, strict=True)
            ]
        return kept

    return averages


def _kronecker(a: Numbers, g: Numbers, damping: float, split: str, fan_in: int) -> Numbers:
    """The damped metric (n, n) in the order of flat blocks: entry (i, j) of the weight stands before all biases."""
    if split == "eigen":
        matrix = np.kron(g, a) + damping * np.eye(len(g) * len(a))
    else:
        pi = np.sqrt((np.trace(a) / len(a)) / (np.trace(g) / len(g)))
        root = np.sqrt(damping)
        matrix = np.kron(g + root / pi * np.eye(len(g)), a + pi * root * np.eye(len(a)))
    places = np.arange(len(matrix)).reshape(len(g), len(a))
    order = np.concatenate([places[:, :fan_in].ravel(), places[:, fan_in:].ravel()])
    return np.asarray(matrix[np.ix_(order, order)])


_MOVES: dict[type[Method], Callable[[Any], Move]] = {
    SGD: lambda method: _descent(method, lambda point: point.slopes, method.nesterov),
    Adam: _adam,
    Riemannian: _curved,
    Naive: _curved,
    KFAC: _curved,
    Shampoo: matrix_reference.shampoo,
    SOAP: matrix_reference.soap,
    Muon: matrix_reference.muon,
    ModularNorm: matrix_reference.modular_norm,
}
