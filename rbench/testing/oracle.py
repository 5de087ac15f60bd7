"""A dense float64 oracle: outputs, Jacobians, losses, metrics and masses from their formulas, in plain NumPy.

It shares nothing with rbench but the structure of networks and the random numbers drawn on the host: it has a forward
pass of its own, Jacobians are complex steps through that, and losses and metrics are written out datum by datum.

Layouts: parameters are a tuple with one dict of arrays a layer, as everywhere; a flat block (n,) is the weight in C
order, then the bias. Losses take z (d,) of one datum, metrics z (batch, d).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

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
    "sampled_rows",
    "shaped",
    "sigmoid",
    "softmax",
    "true_vs_rest",
    "value",
    "windows",
]


def softmax(z: Numbers) -> Numbers:
    """p_i = e^{z_i} / Σ_j e^{z_j}, shape (d,)."""
    e = np.exp(z - z.max())
    return np.asarray(e / e.sum())


def sigmoid(z: Numbers) -> Numbers:
    """p_i = 1 / (1 + e^{−z_i})."""
    return np.asarray(1 / (1 + np.exp(-z)))


def other_classes(z: Numbers, y: Any) -> Numbers:
    """The probabilities p with the label's set to zero, (d,), whose sum 1 − p_y keeps its digits as p_y → 1."""
    return np.asarray(softmax(z) * (np.arange(len(z)) != y))


def value(loss: str, z: Numbers, y: Any) -> Any:
    """ℓ(z, y) of one datum, a number; holomorphic in z, for complex steps."""
    formulas: dict[str, Callable[[], Any]] = {
        "cross_entropy": lambda: np.log(np.exp(z).sum()) - z[y],
        "squared_error": lambda: ((z - y) ** 2).sum() / 2,
        "binary_cross_entropy": lambda: (np.log(1 + np.exp(z)) - y * z).sum(),
    }
    return formulas[loss]()


def cotangent(loss: str, z: Numbers, y: Any) -> Numbers:
    """∂ℓ/∂z of one datum, (d,)."""
    formulas: dict[str, Callable[[], Numbers]] = {
        "cross_entropy": lambda: other_classes(z, y) - other_classes(z, y).sum() * np.eye(len(z))[y],
        "squared_error": lambda: z - y,
        "binary_cross_entropy": lambda: sigmoid(z) - y,
    }
    return formulas[loss]()


def predictions(loss: str, z: Numbers) -> Numbers:
    """The mean of p(y | z) of one datum, (d,)."""
    means: dict[str, Callable[[Numbers], Numbers]]
    means = {"cross_entropy": softmax, "binary_cross_entropy": sigmoid, "squared_error": np.array}
    return means[loss](z)


def hessian(loss: str, z: Numbers) -> Numbers:
    """∂²ℓ/∂z² of one datum, (d, d)."""
    formulas: dict[str, Callable[[], Numbers]] = {
        "cross_entropy": lambda: np.stack([-softmax(z)[i] * cotangent(loss, z, i) for i in range(len(z))]),
        "squared_error": lambda: np.eye(len(z)),
        "binary_cross_entropy": lambda: np.diag(sigmoid(z) * sigmoid(-z)),
    }
    return formulas[loss]()


def sampled_rows(loss: str, z: Numbers, rank: int, seed: int, step: int = 0) -> Numbers:
    """∂ℓ(z, ŷ)/∂z for `rank` targets ŷ ~ p(· | z) a datum, (batch, rank, d), by inverting distribution functions.

    Args:
        loss: the loss's name.
        z: outputs (batch, d).
        rank: targets a datum.
        seed: of the run.
        step: 0-based index of the training step.
    """
    random = generator(seed, "samples", step)
    batch, d = z.shape
    if loss == "squared_error":
        return random.standard_normal((batch, rank, d))
    if loss == "binary_cross_entropy":
        uniform = random.random((batch, rank, d))
        return np.stack([sigmoid(z[b]) - (uniform[b] < sigmoid(z[b])) for b in range(batch)])
    uniform = random.random((batch, rank))
    labels = [np.searchsorted(np.cumsum(softmax(z[b])), uniform[b], side="right") for b in range(batch)]
    return np.stack([[cotangent(loss, z[b], label) for label in labels[b]] for b in range(batch)])


def output_metrics(
    metric: str | Any, loss: str, z: Numbers, y: Any, rank: int = 1, seed: int = 0, step: int = 0
) -> Numbers:
    """The output metric of every datum, (batch, d, d).

    Args:
        metric: a name, or a matrix (d, d) for every datum alike.
        loss: the loss's name.
        z: outputs (batch, d).
        y: targets, one a datum.
        rank: samples a datum, for `ggn_mc`.
        seed: of the samples.
        step: 0-based index of the training step, for the samples.
    """
    batch, d = z.shape
    if not isinstance(metric, str):
        return np.stack([np.asarray(metric, np.float64)] * batch)
    if metric == "ggn_mc":
        rows = sampled_rows(loss, z, rank, seed, step)
        return np.asarray(np.einsum("bki,bkj->bij", rows, rows) / rank)
    formulas: dict[str, Callable[[Numbers, Any], Numbers]] = {
        "identity": lambda z, y: np.eye(d),
        "ggn": lambda z, y: hessian(loss, z),
        "empirical_fisher": lambda z, y: np.outer(cotangent(loss, z, y), cotangent(loss, z, y)),
        "true_vs_rest": true_vs_rest,
    }
    return np.stack([formulas[metric](z[b], y[b]) for b in range(batch)])


def true_vs_rest(z: Numbers, y: Any) -> Numbers:
    """p_y / (1 − p_y) · (p − e_y)(p − e_y)ᵀ of one datum, (d, d)."""
    row = cotangent("cross_entropy", z, y)
    return np.asarray(softmax(z)[y] / other_classes(z, y).sum() * np.outer(row, row))


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
