"""Dense float64 trajectories of the built-in methods, written out from their formulas.

Metrics and gradients are the oracle's, every solve is `numpy.linalg.solve` of the whole matrix, or SciPy's conjugate
gradients with it, and parameters are flat blocks throughout; of a method only the settings are read. No code is shared
with `rbench.methods`.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rbench.losses.dense import Numbers
from rbench.methods import (
    EKFAC,
    KFAC,
    PRONG,
    SGD,
    SOAP,
    Adam,
    Method,
    ModularNorm,
    Muon,
    Naive,
    NaturalGradient,
    Riemannian,
    Shampoo,
)
from rbench.modules import Module, Params
from rbench.testing import _matrix_reference as matrix_reference
from rbench.testing._dense_metrics import (
    Blocks,
    Curved,
    Move,
    Point,
    block_diagonal,
    diagonal_blocks,
    masses,
    metric_data,
    network_metric,
    whitening_metrics,
)
from rbench.testing._networks import flat, shaped

_Direction: TypeAlias = Callable[[Point], Blocks]


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
    history: list[Blocks] = []

    def move(weights: Blocks, point: Point) -> Blocks:
        """Averages as sums over all gradients so far: m̂ = Σ_s β^(t−s) g_s / Σ_s β^(t−s)."""
        history.append(point.slopes)
        moved = []
        for w, past in zip(weights, zip(*history, strict=True), strict=True):
            m = matrix_reference.weighted_mean(past, method.beta1)
            s = matrix_reference.weighted_mean([g**2 for g in past], method.beta2)
            moved.append(w - point.rate * (m / (np.sqrt(s) + method.epsilon) + method.weight_decay * w))
        return moved

    return move


def _descent(method: SGD | Curved | PRONG, direction: _Direction, nesterov: bool = False) -> Move:
    velocity: list[Any] = []
    momentum = 0.0 if _springs(method) else method.momentum

    def move(weights: Blocks, point: Point) -> Blocks:
        """v ← μ v + Δ, w ← w − η (v + λ w), η halved for the least loss; Nesterov's with Δ + μ v for the last v."""
        deltas = direction(point)
        velocity[:] = [momentum * v + d for v, d in zip(velocity or [0.0] * len(deltas), deltas, strict=True)]
        pushes = [d + momentum * v if nesterov else v for v, d in zip(velocity, deltas, strict=True)]

        def moved(rate: float) -> Blocks:
            return [w - rate * (p + method.weight_decay * w) for w, p in zip(weights, pushes, strict=True)]

        if isinstance(method, SGD | PRONG) or not method.line_search:
            return moved(point.rate)
        return min((moved(point.rate / 2**k) for k in range(method.line_search + 1)), key=point.value_at)

    return move


def _curved(method: Curved) -> Move:
    """Descent along Δ = (M + ω VᵀV)⁻¹ g, one dense solve of the whole network's matrix; K-FAC's has no rows."""
    weight = 0.0 if isinstance(method, KFAC) else float(getattr(method, "rows", True))
    coupled = isinstance(method, NaturalGradient) or getattr(method, "coupling", "layer") == "network"
    solve = _truncated(method) if isinstance(method, NaturalGradient) and method.solve == "cg" else _exact
    masses_at = masses(method)
    kept: list[Numbers] = []
    last: list[Numbers] = []

    def direction(point: Point) -> Blocks:
        """Δ, with the rows of the first data of the last batch at which the metric was due; and clipped."""
        mass = masses_at(point)
        if point.step % method.refresh == 0:
            kept[:] = [network_metric(method, point)]
        rows = kept[0] if coupled else block_diagonal(diagonal_blocks(kept[0], point))
        gradient = np.concatenate(point.slopes)
        if _springs(method):
            gradient = gradient + method.momentum * block_diagonal(mass) @ last[0] if last else gradient
        delta = solve(block_diagonal(mass) + weight * rows, gradient, point)
        last[:] = [delta]
        slope = float(gradient @ delta)
        if method.kl_clip is not None and slope > 0:
            delta = delta * min(1.0, np.sqrt(method.kl_clip / slope) / point.rate)
        return np.split(delta, np.cumsum([len(block) for block in point.slopes])[:-1])

    return _descent(method, direction) if method.fit == "none" else _fitted(method, direction)


def _springs(method: Method) -> bool:
    """Whether the momentum is SPRING's, of the last Δ."""
    return isinstance(method, Riemannian | Naive) and method.spring


def _exact(matrix: Numbers, gradient: Numbers, point: Point) -> Numbers:
    return np.linalg.solve(matrix, gradient)


def _truncated(method: NaturalGradient) -> Callable[[Numbers, Numbers, Point], Numbers]:
    """Some of SciPy's iterations of conjugate gradients, from a multiple of the last solution."""
    from scipy.sparse.linalg import cg  # here, for its import adds a filter to the process's warnings

    last: list[Numbers] = []

    def solve(matrix: Numbers, gradient: Numbers, point: Point) -> Numbers:
        start = method.warm_start * last[0] if last else None
        options: dict[str, Any] = {"rtol": method.tolerance, "maxiter": method.iterations, "x0": start}
        if method.precondition:
            squares = [gradients**2 for gradients in point.data_slopes]
            divisor = (np.concatenate(squares, axis=1).mean(axis=0) + method.damping) ** method.precondition
            options["M"] = np.diag(1 / divisor)
        last[:] = [cg(matrix, gradient, **options)[0]]
        return last[0]

    return solve


def _fitted(method: Curved, direction: _Direction) -> Move:
    """The step ν Σ_i x_i b_i along directions b_i, of which x solves the dense metric's equations in their span."""
    last: Blocks = []

    def move(weights: Blocks, point: Point) -> Blocks:
        parts = [direction(point), last or [0 * w for w in weights]]
        if method.fit == "layers":
            basis = np.concatenate([block_diagonal([b[:, None] for b in blocks]) for blocks in parts], axis=1)
        else:
            basis = np.stack([np.concatenate(blocks) for blocks in parts], axis=1)
        basis = basis[:, np.any(basis != 0, axis=0)]  # no last step before the first
        metric = network_metric(method, point) + method.fit_damping * np.eye(len(basis))
        matrix = basis.T @ metric @ basis
        slopes = basis.T @ np.concatenate(point.slopes_of(metric_data(method, point)))
        x = np.linalg.solve(matrix + 1e-3 * np.diag(np.diag(matrix)), slopes)
        trust = point.value() if method.trust == "loss" else method.trust
        step = min(1.0, np.sqrt(trust / (slopes @ x))) * (basis @ x)
        last[:] = np.split(step, np.cumsum([len(w) for w in weights])[:-1])
        return [w - point.rate * (s + method.weight_decay * w) for w, s in zip(weights, last, strict=True)]

    return move


def _whitened(method: PRONG) -> Move:
    metrics = whitening_metrics(method)

    def direction(point: Point) -> Blocks:
        return [np.linalg.solve(*pair) for pair in zip(metrics(point), point.slopes, strict=True)]

    return _descent(method, direction)


_MOVES: dict[type[Method], Callable[[Any], Move]] = {
    SGD: lambda method: _descent(method, lambda point: point.slopes, method.nesterov),
    Adam: _adam,
    Riemannian: _curved,
    Naive: _curved,
    NaturalGradient: _curved,
    KFAC: _curved,
    EKFAC: _curved,
    PRONG: _whitened,
    Shampoo: matrix_reference.shampoo,
    SOAP: matrix_reference.soap,
    Muon: matrix_reference.muon,
    ModularNorm: matrix_reference.modular_norm,
}
