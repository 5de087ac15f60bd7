"""Metric and gradient pulled back to every layer in one pass: G_l = M_l + V_lᵀ V_l (Def. 1 of arXiv 2603.03610).

With `stack`, V_l has the rows (1/√B) R_b J_{b,l}: B · rank rows, the batch's mean metric exactly. With `mean`, V_l is
R̄ J̄_l, J̄_l the batch-mean Jacobian and R̄ a factor of the batch-mean output metric: d rows for any batch size (Sec.
3.4 of the paper). These are different metrics; they agree for a single datum.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from rbench.backend import Array, Backend
from rbench.losses import Loss
from rbench.metrics.output import OutputFactor, OutputMetric
from rbench.modules import Module, Params
from rbench.modules.module import Wires
from rbench.modules.pullback import LayerPullback

Treatment: TypeAlias = Literal["stack", "mean"]
"""How the batch enters the metric."""

TREATMENTS: tuple[Treatment, ...] = ("stack", "mean")


@dataclass(frozen=True)
class Problem:
    """What stays the same while a network is trained: the arrays' backend, the network and its loss."""

    backend: Backend
    net: Module
    loss: Loss

    def value(self, params: Params, batch: "Batch") -> Array:
        """Mean loss of a batch."""
        z, _ = forward(self, params, batch)
        return self.backend.xp.mean(self.loss.values(self.backend, z, batch.y))

    def gradient(self, params: Params, batch: "Batch") -> tuple[Array, Params]:
        """Mean loss of a batch, and its gradient in the structure of the parameters."""
        loss, pulled = pull_gradient(self, params, batch)
        pairs = zip(self.net.layers, pulled, strict=True)
        return loss, tuple(layer.block(*pair.gradient(), self.backend) for layer, pair in pairs)


class Batch(NamedTuple):
    """The data of a step.

    Attributes:
        x: inputs (batch, *shape), or a tuple of one array per wire.
        y: targets.
        noise: the loss's noise for the samples that a metric draws, or None.
        gradient: one that `riemannian`, `naive`, `kfac` and `ekfac` take in place of the mean loss's, as in a training
            loop that computes its own; or None. The step's loss is then that of the metric's data, NaN without any.
    """

    x: Array | Wires
    y: Array
    noise: Array | None = None
    gradient: Params | None = None


def pull_metric(
    problem: Problem, params: Params, batch: Batch, metric: OutputMetric, treatment: Treatment, total: int | None = None
) -> tuple[Array, list[LayerPullback]]:
    """One forward pass, and one pullback of the loss cotangent together with the metric factor's rows.

    For a part of a batch of `total` data, the gradient is that of the mean over all, the metric that of the part alone.

    Returns:
        The mean loss over the data, and for each layer its gradient and metric rows.
    """
    backend = problem.backend
    xp = backend.xp
    z, tape = forward(problem, params, batch)
    size = z.shape[0]
    values, cotangents = problem.loss.values_and_cotangents(backend, z, batch.y)
    factor = metric.factor(backend, problem.loss, z, batch.y, batch.noise)
    total = total or size
    scale = None
    gradient_row = cotangents[:, None, :] / total
    if treatment == "mean":
        mean_rows = _mean_factor(backend, factor, cotangents) / size
        rows = xp.concat([gradient_row, xp.broadcast_to(mean_rows[None, :, :], (size, *mean_rows.shape))], axis=1)
    elif factor.rows is not None:
        rows = xp.concat([gradient_row, factor.rows / size**0.5], axis=1)
    else:
        rows = gradient_row
        scale = factor.scale * (total / size**0.5)
    _, layers = problem.net.pullback(backend, params, tape, (rows,), need_input=False)
    if treatment == "mean":
        layers = [layer.one_example() for layer in layers]
    elif scale is not None:
        layers = [LayerPullback(backend, layer.source, layer.cotangents, layer.bias, scale) for layer in layers]
    return xp.mean(values), layers


def pull_gradient(
    problem: Problem, params: Params, batch: Batch, total: int | None = None
) -> tuple[Array, list[LayerPullback]]:
    """Mean loss, and for each layer the inputs and the cotangents (batch, 1, positions, fan_out) of the mean loss.

    For a part of a batch of `total` data, the cotangents are those of the mean over all.
    """
    z, tape = forward(problem, params, batch)
    values, cotangents = problem.loss.values_and_cotangents(problem.backend, z, batch.y)
    rows = cotangents[:, None, :] / (total or z.shape[0])
    _, layers = problem.net.pullback(problem.backend, params, tape, (rows,), need_input=False)
    return problem.backend.xp.mean(values), layers


def forward(problem: Problem, params: Params, batch: Batch) -> tuple[Array, Any]:
    """The network's outputs (batch, d), and the tape."""
    wires = batch.x if isinstance(batch.x, tuple) else (batch.x,)
    (z,), tape = problem.net.forward(problem.backend, params, wires)
    return z, tape


def _mean_factor(backend: Backend, factor: OutputFactor, cotangents: Array) -> Array:
    """R̄ with R̄ᵀR̄ = (1/B) Σ_b R_bᵀ R_b; it has at most d rows."""
    xp = backend.xp
    rows = factor.rows if factor.rows is not None else (cotangents * factor.scale[:, None])[:, None, :]  # type: ignore[index]
    batch, rank, d = rows.shape
    flat = xp.reshape(rows, (batch * rank, d)) / batch**0.5
    if batch * rank <= d:
        return flat
    values, vectors = backend.eigh(flat.T @ flat)
    return xp.sqrt(xp.maximum(values, xp.zeros_like(values)))[:, None] * vectors.T
