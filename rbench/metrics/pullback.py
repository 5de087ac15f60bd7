"""Metric and gradient pulled back to every layer in one pass: G_l = M_l + V_lᵀ V_l (Def. 1 of arXiv 2603.03610).

With `stack`, V_l has the rows (1/√B) R_b J_{b,l}: B · rank rows, the batch's mean metric exactly. With `mean`, V_l is
R̄ J̄_l, J̄_l the batch-mean Jacobian and R̄ a factor of the batch-mean output metric: d rows for any batch size (Sec.
3.4 of the paper). These are different metrics; they agree for a single datum.
"""

from dataclasses import replace
from typing import Literal, TypeAlias

from rbench.backend import Array, Backend
from rbench.losses import Loss
from rbench.metrics.output import OutputFactor, OutputMetric
from rbench.modules import Module, Params
from rbench.modules.module import Layer, Wires
from rbench.modules.pullback import LayerPullback

Treatment: TypeAlias = Literal["stack", "mean"]
"""How the batch enters the metric."""

TREATMENTS: tuple[Treatment, ...] = ("stack", "mean")


def pull_metric(
    backend: Backend,
    net: Module,
    params: Params,
    loss: Loss,
    metric: OutputMetric,
    treatment: Treatment,
    x: Array | Wires,
    y: Array,
    noise: Array | None = None,
    total: int | None = None,
) -> tuple[Array, list[LayerPullback]]:
    """One forward pass, and one pullback of the loss cotangent together with the metric factor's rows.

    x is one array of inputs (batch, *shape) or a tuple of them, and `noise` the loss's, where the metric draws samples.
    If x is part of a batch of `total` data, the gradient is that of the mean over all, the metric that of x alone.

    Returns:
        The mean loss over the data, and for each layer its gradient and metric rows.
    """
    xp = backend.xp
    (z,), tape = net.forward(backend, params, x if isinstance(x, tuple) else (x,))
    batch = z.shape[0]
    values, cotangents = loss.values_and_cotangents(backend, z, y)
    factor = metric.factor(backend, loss, z, y, noise)
    total = total or batch
    scale = None
    gradient_row = cotangents[:, None, :] / total
    if treatment == "mean":
        mean_rows = _mean_factor(backend, factor, cotangents) / batch
        rows = xp.concat([gradient_row, xp.broadcast_to(mean_rows[None, :, :], (batch, *mean_rows.shape))], axis=1)
    elif factor.rows is not None:
        rows = xp.concat([gradient_row, factor.rows / batch**0.5], axis=1)
    else:
        rows = gradient_row
        scale = factor.scale * (total / batch**0.5)
    _, layers = net.pullback(backend, params, tape, (rows,), need_input=False)
    if treatment == "mean":
        layers = [layer.one_example() for layer in layers]
    elif scale is not None:
        layers = [replace(layer, scale=scale) for layer in layers]
    return xp.mean(values), layers


def pull_gradient(
    backend: Backend, net: Module, params: Params, loss: Loss, x: Array | Wires, y: Array, total: int | None = None
) -> tuple[Array, list[LayerPullback]]:
    """Mean loss, and for each layer the inputs and the cotangents (batch, 1, positions, fan_out) of the mean loss.

    If x is part of a batch of `total` data, the cotangents are those of the mean over all of it.
    """
    (z,), tape = net.forward(backend, params, x if isinstance(x, tuple) else (x,))
    values, cotangents = loss.values_and_cotangents(backend, z, y)
    rows = cotangents[:, None, :] / (total or z.shape[0])
    _, layers = net.pullback(backend, params, tape, (rows,), need_input=False)
    return backend.xp.mean(values), layers


def gradient_blocks(backend: Backend, layers: tuple[Layer, ...], pulled: list[LayerPullback]) -> Params:
    """The gradient in the structure of the parameters, from what `pull_gradient` returned."""
    return tuple(layer.block(*pair.gradient(), backend) for layer, pair in zip(layers, pulled, strict=True))


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
