"""Products with the whole network's metric F = (1/B) Σ_b J_bᵀ Ĝ_b J_b, of which nothing is formed.

J_b is the Jacobian of datum b's outputs in the parameters of all layers, and Ĝ_b its output metric. So F v takes a
pushforward J v, a product with Ĝ, and a pullback of one row per datum (Schraudolph 2002), whatever the metric's rank.

A vector (n,) holds the parameters of all layers in order, of each the weight in C order and then the bias.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate

from rbench.backend import Array, Backend
from rbench.metrics.output import OutputMetric
from rbench.metrics.pullback import Batch, Problem, forward
from rbench.modules import Layer, Params, Weights


def metric_product(problem: Problem, params: Params, batch: Batch, metric: OutputMetric) -> Callable[[Array], Array]:
    """A function that computes F v (n,), given v (n,), for the data of a batch."""
    backend = problem.backend
    xp = backend.xp
    layers = problem.net.layers
    z, tape = forward(problem, params, batch)
    factor = metric.factor(backend, problem.loss, z, batch.y, batch.noise)
    rows = factor.rows
    if rows is None:
        _, cotangents = problem.loss.values_and_cotangents(backend, z, batch.y)
        rows = (cotangents * factor.scale[:, None])[:, None, :]  # type: ignore[index]

    def product(vector: Array) -> Array:
        pairs = zip(layers, unflattened(backend, layers, vector), strict=True)
        tangents = tuple(layer.block(*weights, backend) for layer, weights in pairs)
        still = (None,) * len(problem.net.in_space)
        (pushed,) = problem.net.pushforward(backend, params, tape, tangents, still)
        images = rows @ pushed[:, :, None]  # type: ignore[index]
        cotangents = xp.sum(rows * images, axis=1) / z.shape[0]
        _, pulled = problem.net.pullback(backend, params, tape, (cotangents[:, None, :],), need_input=False)
        return flattened(backend, [layer.gradient() for layer in pulled])

    return product


def flattened(backend: Backend, weights: Sequence[Weights]) -> Array:
    """Numbers in the shape of all layers' weights as one vector, (n,)."""
    parts = [backend.xp.reshape(part, (-1,)) for pair in weights for part in pair if part is not None]
    return backend.xp.concat(parts)


def unflattened(backend: Backend, layers: Sequence[Layer], vector: Array) -> list[Weights]:
    """The weights whose vector `flattened` returned."""
    xp = backend.xp
    found: list[Weights] = []
    for layer, stop in zip(layers, accumulate(layer.n_parameters for layer in layers), strict=True):
        start = stop - layer.n_parameters
        size = layer.fan_out * layer.fan_in
        weight = xp.reshape(vector[start : start + size], (layer.fan_out, layer.fan_in))
        found.append((weight, vector[start + size : stop] if layer.bias else None))
    return found
