"""The flow of a loss under a metric: E, ∇E and G at weights given as one vector, and the velocity u = G⁻¹∇E."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from rbench.backend import Backend
from rbench.losses import get_loss
from rbench.metrics import Batch, OutputMetric, Problem, get_output_metric, layer_masses, pull_metric
from rbench.metrics.mass import MassLike
from rbench.modules import Module, Params
from rbench.solvers.dense import layer_metric

Vector: TypeAlias = np.ndarray[Any, Any]
"""Weights of all layers, or their velocity, (n,), float64."""

Matrix: TypeAlias = np.ndarray[Any, Any]
"""A metric (n, n), or a vector for each of several nodes, float64."""


@dataclass(frozen=True)
class Point:
    """A loss and a metric at some weights w.

    Attributes:
        value: E(w).
        gradient: ∇E(w), (n,).
        metric: G(w), (n, n).
    """

    value: float
    gradient: Vector
    metric: Matrix

    @cached_property
    def velocity(self) -> Vector:
        """u = G⁻¹∇E, (n,)."""
        return np.linalg.solve(self.metric, self.gradient)

    def inner(self, one: Vector, other: Vector) -> float:
        """⟨one, other⟩_G."""
        return float(one @ self.metric @ other)


Field: TypeAlias = Callable[[Vector], Point]
"""A loss and a metric at any weights."""


def network_field(
    backend: Backend, net: Module, loss: str, metric: OutputMetric | None, mass: MassLike, x: Any, y: Any
) -> Field:
    """The mean loss of a network on fixed data, and G = diag(M_l + V_lᵀV_l) (Def. 1 of arXiv 2603.03610).

    Args:
        backend: computes both, in float64.
        net: the network.
        loss: name of the loss.
        metric: what is pulled back, without samples, which would not be smooth in w; None for G = M.
        mass: M, as `rbench.riemannian_gradient` takes it.
        x: inputs (batch, *shape).
        y: targets.
    """
    from scipy.linalg import block_diag

    problem = Problem(backend, net, get_loss(loss))
    pulled_back = metric or get_output_metric("identity")
    masses = layer_masses(backend, net.layers, mass)
    put_y = backend.labels if problem.loss.integer_targets else backend.asarray
    batch = Batch(backend.asarray(x), put_y(y))

    def field(weights: Vector) -> Point:
        value, layers = pull_metric(problem, shaped(backend, net, weights), batch, pulled_back, "stack")
        blocks = [layer.block(*pulled.gradient(), backend) for layer, pulled in zip(net.layers, layers, strict=True)]
        if metric is None:
            layers = [layer.weighted(0.0) for layer in layers]
        metrics = [backend.to_numpy(layer_metric(backend, *pair)) for pair in zip(layers, masses, strict=True)]
        return Point(float(value), flat(backend, tuple(blocks)), block_diag(*metrics))

    return field


def flat(backend: Backend, params: Params) -> Vector:
    """Parameters as one vector, layer by layer, the weight in C order before the bias."""
    arrays = [block[name] for block in params for name in ("weight", "bias") if name in block]
    return np.concatenate([np.ravel(backend.to_numpy(array)) for array in arrays])  # JAX sorts a dict's keys


def shaped(backend: Backend, net: Module, vector: Vector) -> Params:
    """The parameters that `flat` makes a vector of."""
    shapes = [(name, shape) for layer in net.layers for name, shape in layer.shapes.items()]
    parts = np.split(vector, np.cumsum([int(np.prod(shape)) for _, shape in shapes])[:-1])
    arrays = iter([backend.asarray(part.reshape(shape)) for part, (_, shape) in zip(parts, shapes, strict=True)])
    return tuple({name: next(arrays) for name in layer.shapes} for layer in net.layers)
