"""Dense metrics and masses of a step, for the reference's trajectories: float64 matrices, formed in full."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.linalg

from rbench.losses import get_loss
from rbench.losses.dense import Numbers
from rbench.methods import EKFAC, KFAC, PRONG, Naive, NaturalGradient, Riemannian
from rbench.testing import oracle
from rbench.testing._networks import shaped
from rbench.testing.oracle import Evaluation

Blocks: TypeAlias = list[Numbers]
"""One flat vector (n,), or matrix (n, n), per layer."""

Curved: TypeAlias = Riemannian | Naive | NaturalGradient | KFAC
"""The methods that pull a metric back."""

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

    @cached_property
    def data_slopes(self) -> Blocks:
        """Every layer's gradients of the data's losses, (batch, n)."""
        cotangent = get_loss(self.loss).dense.cotangent
        rows = np.stack([cotangent(z, y) for z, y in zip(self.outputs, self.y, strict=True)])
        return [np.einsum("bd,bdn->bn", rows, jacobian) for jacobian in self.jacobians]

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


Move: TypeAlias = Callable[[Blocks, Point], Blocks]
"""One step, with whatever it keeps between steps."""


def metric_data(method: Curved, point: Point) -> int | None:
    """How many data, the first of the batch, have their metric taken; None for all."""
    given = method.metric_batch
    return max(1, round(given * len(point.y))) if isinstance(given, float) else given


def network_metric(method: Curved, point: Point) -> Numbers:
    """VᵀV of the whole network, (n, n), for the data whose metric is taken."""
    treatment = method.batch if isinstance(method, Riemannian | Naive) else "stack"
    jacobian = np.concatenate(point.jacobians, axis=2)[: metric_data(method, point)]
    return oracle.layer_metric(jacobian, _outputs(method, point), np.zeros(jacobian.shape[2]), treatment)


def _outputs(method: Curved, point: Point) -> Numbers:
    """The output metrics of the data whose metric is taken."""
    name = _FACTORS[method.factors] if isinstance(method, KFAC) else method.output_metric
    return point.metrics(name, method.rank)[: metric_data(method, point)]


def diagonal_blocks(matrix: Numbers, point: Point) -> Blocks:
    """The diagonal blocks of the layers."""
    ends = np.cumsum([len(block) for block in point.slopes])
    starts = [0, *ends[:-1]]
    return [matrix[start:end, start:end] for start, end in zip(starts, ends, strict=True)]


def block_diagonal(blocks: Blocks) -> Numbers:
    """The matrix with these diagonal blocks."""
    return np.asarray(scipy.linalg.block_diag(*blocks))


def masses(method: Curved) -> Callable[[Point], Blocks]:
    """The mass (n, n) of every layer at a step; of methods without rows it is their whole metric."""
    if isinstance(method, NaturalGradient):
        return lambda point: [method.damping * np.eye(len(slope)) for slope in point.slopes]
    if isinstance(method, EKFAC):
        return _rescaled_masses(method)
    if isinstance(method, KFAC):
        return _kronecker_masses(method, method.refresh)
    if method.mass == "kronecker":
        return _kronecker_masses(method, method.factor_refresh)
    if method.mass != "diagonal":
        return lambda point: [np.diag(mass) for mass in oracle.mass_diagonals(method.mass, point.net.layers)]

    def diagonals(point: Point) -> list[tuple[Any, ...]]:
        return [(np.diag(block),) for block in diagonal_blocks(network_metric(method, point), point)]

    averages = _averages(method.decay, method.factor_refresh, diagonals)
    return lambda point: [np.diag(values + method.damping) for (values,) in averages(point)]


def _kronecker_factors(method: Riemannian | Naive | KFAC, refresh: int) -> Callable[[Point], list[tuple[Any, ...]]]:
    """Running averages of the factors (A, G) of every layer at a step."""

    def factors(point: Point) -> list[tuple[Any, ...]]:
        sharing = method.sharing if isinstance(method, KFAC) else "expand"
        outputs = _outputs(method, point)
        x = tuple(wire[: metric_data(method, point)] for wire in point.x)
        return list(oracle.kronecker_factors(point.net, point.params, x, outputs, sharing))

    return _averages(method.decay, refresh, factors)


def _kronecker_masses(method: Riemannian | Naive | KFAC, refresh: int) -> Callable[[Point], Blocks]:
    """(A ⊗ G, damped) of every layer at a step."""
    averages = _kronecker_factors(method, refresh)
    split = method.damping_split if isinstance(method, KFAC) else "pi"

    def damped(point: Point) -> Blocks:
        pairs = zip(averages(point), point.net.layers, strict=True)
        return [_kronecker(a, g, method.damping, split, layer.fan_in) for (a, g), layer in pairs]

    return damped


def _rescaled_masses(method: EKFAC) -> Callable[[Point], Blocks]:
    """Q diag(s + λ) Qᵀ of every layer at a step, for the eigenvectors Q of A ⊗ G and s = diag QᵀFQ."""
    averages = _kronecker_factors(method, method.refresh)
    bases: Blocks = []
    scales: list[Blocks] = []

    def rescaled(point: Point) -> Blocks:
        pairs = zip(averages(point), point.net.layers, strict=True)
        if point.step % method.refresh == 0:
            bases[:] = [_eigenvectors(a, g, layer.fan_in) for (a, g), layer in pairs]
            scales.clear()
        exact = diagonal_blocks(network_metric(method, point), point)
        new = [np.diag(q.T @ metric @ q) for q, metric in zip(bases, exact, strict=True)]
        count = len(scales)
        keep = min(count / (count + 1), method.decay)
        last = scales[-1] if scales else [0 * s for s in new]
        scales.append([keep * old + (1 - keep) * s for old, s in zip(last, new, strict=True)])
        return [q @ np.diag(s + method.damping) @ q.T for q, s in zip(bases, scales[-1], strict=True)]

    return rescaled


def whitening_metrics(method: PRONG) -> Callable[[Point], Blocks]:
    """The metric I ⊗ E[x̄ x̄ᵀ] of every layer at a step, x̄ its inputs with a 1 for the bias, and ε on the inputs."""

    def moments(point: Point) -> list[tuple[Any, ...]]:
        return [
            (a,) for a, _ in oracle.kronecker_factors(point.net, point.params, point.x, point.metrics("identity", 1))
        ]

    averages = _averages(method.decay, method.refresh, moments)

    def metrics(point: Point) -> Blocks:
        found = []
        for layer, (a,) in zip(point.net.layers, averages(point), strict=True):
            ridge = np.diag(np.arange(len(a)) < layer.fan_in) * method.epsilon
            found.append(_in_flat_order(np.kron(np.eye(layer.fan_out), a + ridge), layer.fan_out, layer.fan_in))
        return found

    return metrics


def _averages(
    decay: float, refresh: int, values: Callable[[Point], list[tuple[Any, ...]]]
) -> Callable[[Point], list[tuple[Any, ...]]]:
    """Running averages of arrays of every layer, updated at every `refresh`-th step."""
    kept: list[tuple[Any, ...]] = []

    def averages(point: Point) -> list[tuple[Any, ...]]:
        if point.step % refresh == 0:
            new = values(point)
            keep = min(point.step // refresh / (point.step // refresh + 1), decay)
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
    return _in_flat_order(matrix, len(g), fan_in)


def _eigenvectors(a: Numbers, g: Numbers, fan_in: int) -> Numbers:
    """Eigenvectors (n, n) of A ⊗ G as columns, in the order of flat blocks."""
    return _in_flat_order(np.kron(np.linalg.eigh(g)[1], np.linalg.eigh(a)[1]), len(g), fan_in)


def _in_flat_order(matrix: Numbers, fan_out: int, fan_in: int) -> Numbers:
    """A matrix (n, n) over outputs and inputs with the bias's 1, its rows and columns in the order of flat blocks."""
    places = np.arange(len(matrix)).reshape(fan_out, -1)
    order = np.concatenate([places[:, :fan_in].ravel(), places[:, fan_in:].ravel()])
    return np.asarray(matrix[np.ix_(order, order)])
