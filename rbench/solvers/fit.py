"""The fitted step: how far to go along several directions at once, by the exact metric restricted to their span.

For directions b_1 … b_m of the whole network, the quadratic model of the loss along −Σ_i x_i b_i,

    ½ xᵀ Q x − rᵀx  with  Q = TᵀT + λ X,  T = V [b_1 … b_m],  X_ij = b_iᵀ b_j,  r_i = gᵀ b_i,

is least where Q x = r, for V and g of the data whose metric is taken. The step is ν Σ_i x_i b_i with
ν = min(1, √(c / rᵀx)), so that its length in the model's metric is at most √c. Martens and Grosse (2015, sec. 7) is the
case of two directions: that of K-FAC and the previous step.
"""

from collections.abc import Sequence

from rbench.backend import Array, Backend
from rbench.modules import LayerPullback, Weights
from rbench.solvers.base import health_of, inner_product, solve_cholesky
from rbench.solvers.woodbury import inner_products

RIDGE = 1e-3
"""What is added to Q, in units of its diagonal: directions that are nearly parallel share their coefficient."""


def row_products(layer: LayerPullback, weights: Weights) -> tuple[Array, Array]:
    """V b (rows,) and gᵀb at a layer, for b in the shape of its weights and g as it was pulled back with V."""
    backend = layer.backend
    xp = backend.xp
    weight, bias = weights
    outputs = layer.source.apply(weight)
    if bias is not None:
        outputs = outputs + bias
    slope = xp.vecdot(xp.reshape(layer.gradient_rows, (-1,)), xp.reshape(outputs, (-1,)))
    return xp.reshape(inner_products(backend, layer.factor_rows, outputs), (-1,)), slope


def fit_coefficients(
    backend: Backend,
    layers: Sequence[LayerPullback],
    directions: Sequence[Sequence[Weights]],
    *,
    share: float,
    per_layer: bool,
    damping: float,
    trust: float | Array,
) -> tuple[Array, Array]:
    """Coefficients for some directions of a network, from the data whose loss and metric were pulled back.

    Args:
        backend: the arrays' backend.
        layers: where these were pulled back to; V's rows are those of the whole network's metric.
        directions: for each direction, its part at each layer.
        share: what part of a batch these data are: the layers' gradients are of the batch's mean loss.
        per_layer: whether each layer's part is a direction of its own, zero in the other layers.
        damping: λ.
        trust: c.

    Returns:
        ν x: coefficients of the directions in turn; of each direction's layers in turn, if `per_layer`. And a scalar
        that is not finite where Q could not be factored.
    """
    xp = backend.xp
    products = [[row_products(*pair) for pair in zip(layers, parts, strict=True)] for parts in directions]
    slopes = [xp.stack([slope for _, slope in parts]) / share for parts in products]
    rows = [[row for row, _ in parts] for parts in products]
    inner = [[_by_layer(backend, one, other) for other in directions] for one in directions]
    if per_layer:
        eye = backend.eye(len(layers))
        t = xp.concat([xp.stack(parts, axis=1) for parts in rows], axis=1)
        r = xp.concat(slopes)
        x = xp.concat([xp.concat([eye * values for values in row], axis=1) for row in inner], axis=0)
    else:
        t = xp.stack([sum(parts[1:], parts[0]) for parts in rows], axis=1)
        r = xp.stack([xp.sum(values) for values in slopes])
        x = xp.stack([xp.stack([xp.sum(values) for values in row]) for row in inner])
    return solve_fit(backend, t.T @ t + damping * x, r, trust)


def solve_fit(backend: Backend, matrix: Array, slopes: Array, trust: float | Array) -> tuple[Array, Array]:
    """ν x, where Q x = r with Q scaled to a unit diagonal and `RIDGE` added to it; and the health of its factor."""
    xp = backend.xp
    diagonal = xp.sum(matrix * backend.eye(matrix.shape[0]), axis=1)
    used = diagonal > 0  # not the previous step, before the first one
    root = xp.where(used, xp.sqrt(xp.where(used, diagonal, xp.ones_like(diagonal))), xp.ones_like(diagonal))
    lower = backend.cholesky(matrix / root[:, None] / root[None, :], shift=RIDGE)
    x = solve_cholesky(backend, lower, (slopes / root)[:, None])[:, 0] / root
    reduction = xp.sum(slopes * x)
    within = reduction <= trust
    bound = xp.where(
        within, xp.ones_like(reduction), xp.sqrt(trust / xp.where(within, xp.ones_like(reduction), reduction))
    )
    return bound * x, health_of(lower)


def _by_layer(backend: Backend, one: Sequence[Weights], other: Sequence[Weights]) -> Array:
    """The inner product at each layer, (layers,)."""
    return backend.xp.stack([inner_product(backend, *pair) for pair in zip(one, other, strict=True)])
