"""A dense float64 oracle: outputs, Jacobians, losses, metrics and masses from their formulas, in plain NumPy.

It shares nothing with the code that it judges but the structure of networks and the random numbers drawn on the host:
it has a forward pass of its own, Jacobians are complex steps through that, and losses and output metrics are their
dense definitions, datum by datum.

Layouts: parameters are a tuple with one dict of arrays per layer, as everywhere; a flat block (n,) is the weight in C
order, then the bias. Losses take z (d,) of one datum, metrics z (batch, d).
"""

from typing import Any

import numpy as np

from rbench.losses import get_loss
from rbench.metrics import get_output_metric
from rbench.modules import Module, Params
from rbench.random import generator
from rbench.testing._masses import draw_mass, mass_diagonals
from rbench.testing._networks import (
    Numbers,
    flat,
    forward,
    input_jacobians,
    jacobians,
    layer_inputs,
    layer_jacobians,
    shaped,
    windows,
)

__all__ = [
    "cotangent",
    "draw_mass",
    "drawn",
    "flat",
    "forward",
    "gradient",
    "hessian",
    "input_jacobians",
    "jacobians",
    "kronecker_factors",
    "layer_metric",
    "mass_diagonals",
    "output_metrics",
    "predictions",
    "shaped",
    "value",
    "windows",
]


def value(loss: str, z: Numbers, y: Any) -> Any:
    """ℓ(z, y) of one datum, a number; holomorphic in z, for complex steps."""
    return get_loss(loss).dense.value(z, y)


def cotangent(loss: str, z: Numbers, y: Any) -> Numbers:
    """∂ℓ/∂z of one datum, (d,)."""
    return get_loss(loss).dense.cotangent(z, y)


def predictions(loss: str, z: Numbers) -> Numbers:
    """The mean of p(y | z) of one datum, (d,)."""
    return get_loss(loss).dense.mean(z)


def hessian(loss: str, z: Numbers) -> Numbers:
    """∂²ℓ/∂z² of one datum, (d, d), which is the same for every target."""
    return get_loss(loss).dense.hessian(z, 0 if get_loss(loss).integer_targets else predictions(loss, z))


def drawn(loss: str, z: Numbers, rank: int, seed: int, step: int = 0) -> Numbers:
    """Targets ŷ ~ p(· | z), `rank` of them per datum, (batch, rank, …).

    Args:
        loss: the loss's name.
        z: outputs (batch, d).
        rank: targets per datum.
        seed: seed of the run.
        step: 0-based index of the training step.
    """
    return get_loss(loss).dense.draw(generator(seed, "samples", step), z, rank)


def output_metrics(
    metric: str | Any, loss: str, z: Numbers, y: Any, rank: int = 1, seed: int = 0, step: int = 0
) -> Numbers:
    """The output metric of every datum, (batch, d, d).

    Args:
        metric: a name, or a matrix (d, d) for every datum alike.
        loss: the loss's name.
        z: outputs (batch, d).
        y: targets, one per datum.
        rank: samples per datum, for a metric that draws them.
        seed: seed of the samples.
        step: 0-based index of the training step, for the samples.
    """
    if not isinstance(metric, str):
        return np.stack([np.asarray(metric, np.float64)] * len(z))
    chosen = get_output_metric(metric, rank)
    targets = drawn(loss, z, rank, seed, step) if chosen.samples else [None] * len(z)
    return np.stack([chosen.dense(get_loss(loss), *datum) for datum in zip(z, y, targets, strict=True)])


def layer_metric(jacobian: Numbers, metrics: Numbers, mass: Numbers, treatment: str) -> Numbers:
    """G = M + the batch's mean of J_bᵀ Ĝ_b J_b for `stack`, or M + J̄ᵀ Ḡ J̄ of the means for `mean`.

    Args:
        jacobian: (batch, d, n).
        metrics: (batch, d, d).
        mass: the diagonal of M, (n,).
        treatment: `stack` or `mean`.
    """
    if treatment == "mean":
        mean = jacobian.mean(axis=0)
        return np.asarray(np.diag(mass) + mean.T @ metrics.mean(axis=0) @ mean)
    parts = [j.T @ g @ j for j, g in zip(jacobian, metrics, strict=True)]
    return np.asarray(np.diag(mass) + sum(parts) / len(parts))


def gradient(jacobian: Numbers, loss: str, z: Numbers, y: Any) -> Numbers:
    """Gradient (n,) of the mean loss, from the Jacobian (batch, d, n) and outputs z (batch, d)."""
    return np.asarray(sum(jacobian[b].T @ cotangent(loss, z[b], y[b]) for b in range(len(z))) / len(z))


def kronecker_factors(
    net: Module, params: Params, x: Any, metrics: Numbers, sharing: str = "expand"
) -> list[tuple[Numbers, Numbers]]:
    """K-FAC's factors of every layer: A = E[ā_t ā_tᵀ] and G = E[Σ_t J_btᵀ Ĝ_b J_bt].

    ā_t are the layer's inputs at position t, with a 1 where it has a bias, and J_bt (d, fan_out) is the Jacobian of the
    network's outputs with respect to the layer's there. A averages over data and positions, G over data.

    Args:
        net: the network.
        params: its parameters.
        x: inputs (batch, *shape), or a tuple of them.
        metrics: the output metric Ĝ_b of every datum, (batch, d, d).
        sharing: `expand`; or `reduce`, where a datum has one position: the mean of ā_t, and the sum of J_bt.

    Returns:
        For every layer A (fan_in [+1], fan_in [+1]) and G (fan_out, fan_out).
    """
    found = []
    for layer, a, jacobian in zip(
        net.layers, layer_inputs(net, params, x), layer_jacobians(net, params, x), strict=True
    ):
        if sharing == "reduce":
            a, jacobian = a.mean(axis=1, keepdims=True), jacobian.sum(axis=2, keepdims=True)
        flattened = a.reshape(-1, layer.fan_in)
        widened = np.column_stack([flattened, np.ones((len(flattened), int(layer.bias)))])
        covariance = sum(j.T @ g @ j for at, g in zip(jacobian, metrics, strict=True) for j in np.moveaxis(at, 1, 0))
        found.append((widened.T @ widened / len(widened), np.asarray(covariance / len(a))))
    return found
