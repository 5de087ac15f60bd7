"""The fitted step: how far to go along several directions at once, by the exact metric restricted to their span.

For directions b_1 … b_m of the whole network, the quadratic model of the loss along −Σ_i x_i b_i,

    ½ xᵀ Q x − rᵀx  with  Q = TᵀT + λ X,  T = V [b_1 … b_m],  X_ij = b_iᵀ b_j,  r_i = gᵀ b_i,

is least where Q x = r, for V and g of the data whose metric is taken; a little is added to Q's diagonal. The step is
ν Σ_i x_i b_i with ν = min(1, √(c / rᵀx)), so that its length in the model's metric is at most √c. Martens and Grosse
(2015, sec. 7) is the case of two directions: that of K-FAC and the previous step.
"""

from collections.abc import Sequence

from rbench.backend import Array, Backend
from rbench.modules import LayerPullback, Weights
from rbench.solvers.base import health_of, solve_cholesky
from rbench.solvers.woodbury import inner_products

RIDGE = 1e-3
"""What is added to Q, in units of its diagonal: directions that are nearly parallel share their coefficient."""

TINY = 1e-36
"""What is added where a divisor may be zero: it is lost in any other, and float32 holds it to full precision."""


def layer_terms(layer: LayerPullback, directions: Sequence[Weights]) -> list[Array]:
    """What the model needs of a layer's m directions: m products with its cotangents, and m² inner products.

    A product is (examples, rows), with the cotangents as they were pulled back: those with the loss's rows sum to gᵀb,
    and the others are V b, but for `scale`. An inner product is (1,): to join arrays takes less than to stack scalars.
    """
    backend = layer.backend
    xp = backend.xp
    products = []
    for weight, bias in directions:
        outputs = layer.source.apply(weight)
        products.append(inner_products(backend, layer.cotangents, outputs if bias is None else outputs + bias))
    flat = [[xp.reshape(part, (1, -1)) for part in parts if part is not None] for parts in directions]
    return products + [sum(map(xp.vecdot, one, other)) for one in flat for other in flat]


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
        ν x, (layers, directions) if `per_layer`, else (1, directions); and a scalar that is not finite where Q could
        not be factored.
    """
    xp = backend.xp
    terms = [layer_terms(layer, parts) for layer, *parts in zip(layers, *directions, strict=True)]
    if not per_layer:
        terms = [[sum(parts) for parts in zip(*terms, strict=True)]]
    groups = len(terms)
    each = len(directions)
    count = groups * each
    products = xp.stack([one for parts in terms for one in parts[:each]], axis=2)
    inner = xp.reshape(xp.concat([one for parts in terms for one in parts[each:]]), (groups, each, 1, each))
    gram = xp.reshape(inner * backend.eye(groups)[:, None, :, None], (count, count))  # zero between layers
    scale = layers[0].scale
    t = xp.reshape(products[:, 1:, :] if scale is None else products * scale[:, None, None], (-1, count))
    r = xp.sum(products[:, 0, :], axis=0) / share
    solution, health = solve_fit(backend, t.T @ t + damping * gram, r, trust)
    return xp.reshape(solution, (groups, each)), health


def solve_fit(backend: Backend, matrix: Array, slopes: Array, trust: float | Array) -> tuple[Array, Array]:
    """ν x, where Q x = r with Q scaled to a unit diagonal and `RIDGE` added to it; and the health of its factor.

    A direction of length zero, as the previous step is before the first one, has the coefficient zero.
    """
    xp = backend.xp
    root = xp.sqrt(xp.reshape(matrix, (-1,))[:: matrix.shape[0] + 1] + TINY)
    lower = backend.cholesky(matrix / root[:, None] / root[None, :], shift=RIDGE)
    x = solve_cholesky(backend, lower, (slopes / root)[:, None])[:, 0] / root
    excess = xp.vecdot(slopes, x) / (trust + TINY)
    return x / xp.sqrt(xp.maximum(excess, xp.ones_like(excess))), health_of(lower)
