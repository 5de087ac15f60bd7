"""PRONG: gradient descent with the inputs of every layer whitened."""

from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from pydantic import Field

from rbench.backend import Array, Backend
from rbench.methods.base import WINDOW, Scalars, State, Step, zero_array
from rbench.methods.descent import Descent
from rbench.methods.kronecker import decay_at, inverse_of
from rbench.methods.operations import gradient_operations, layer_works
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem, pull_gradient
from rbench.modules import Layer, LayerPullback, Params, Weights
from rbench.modules.space import Space, space_of
from rbench.solvers.base import health_of


class Whitening(NamedTuple):
    """What is known of a layer's inputs.

    Attributes:
        mean: c, (fan_in,); zeros for a layer without bias.
        covariance: Σ, (fan_in, fan_in).
        inverse: (Σ + εI)⁻¹ = UᵀU, (fan_in, fan_in).
    """

    mean: Array
    covariance: Array
    inverse: Array


class PRONG(Descent):
    """Projected natural gradient descent (Desjardins, Simonyan, Pascanu and Kavukcuoglu 2015).

    A layer W x + b is written as V U (x − c) + d with c = E[x] and UᵀU = (Σ + εI)⁻¹, Σ the covariance of its inputs, so
    W = V U and b = d − W c. At every `refresh`-th step c and U change, and V and d with them so that the function stays
    the same. In between, SGD makes its steps on V and d. Their gradients are ∂V = (g_W − g_b cᵀ) Uᵀ and ∂d = g_b, so in
    the weights its direction is

        Δ_W = (g_W − g_b cᵀ) (Σ + εI)⁻¹,    Δ_b = g_b − Δ_W c:

    that of the metric I ⊗ E[x̄ x̄ᵀ], x̄ the inputs with a 1 for the bias and ε added to all but that 1. The direction, and
    the momentum, which is linear in it, are those of the whitened coordinates whatever root U is. When the coordinates
    change, the velocity in V and d is changed as V and d are, so that it moves the weights as before.

    A layer without bias has nothing to take c up: c is 0, and Σ the second moment. Where positions share weights the
    inputs are those of all positions.

    Attributes:
        epsilon: ε.
        refresh: steps between two changes of the coordinates.
        decay: ρ of the running averages over batches that c and Σ are made of, as `kfac` has it; 0 for the last batch.
            (The paper takes them from a fixed number of data at every refresh.)
    """

    name: ClassVar[str] = "prong"
    summary: ClassVar[str] = "SGD in coordinates that whiten every layer's inputs, renewed at intervals"
    always: ClassVar[tuple[str, ...]] = ("lr", "epsilon")
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-4, 1),
        "epsilon": LogUniform(1e-4, 10),
        "momentum": Choice(0.0, 0.9, 0.95),
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    epsilon: float = Field(0.1, gt=0, allow_inf_nan=False)
    refresh: int = Field(10, ge=1)
    decay: float = Field(0.95, ge=0, lt=1)

    def phase(self, step: int) -> Hashable:
        return step % self.refresh == 0

    def scalars(self, step: int, total: int) -> Scalars:
        return super().scalars(step, total) | {"decay": decay_at(step // self.refresh, self.decay)}

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        works = layer_works(problem.net, space_of(datum.x))
        squares = [work.layer.fan_in**2 for work in works]
        windows = [batch_size * work.positions * work.layer.fan_in if work.positions > 1 else 0 for work in works]
        # The old and new covariances and inverses; for one layer also what these are made from, when SGD's activations
        # are gone.
        activations = batch_size * sum(work.positions * work.layer.fan_out for work in works)
        numbers = 3.0 * sum(squares) + max(0, sum(squares) + 3 * max(squares) - activations)
        # A backend with convolutions keeps windows that SGD does not form.
        numbers += sum(windows) + max(windows) if problem.backend.convolutions else max(windows)
        return problem.backend.itemsize * numbers, "the covariance of every layer's inputs"

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: SGD's, o i² to solve and o i for c per layer; on a refresh B P i² / 2, i³/6 and i³ more."""
        works = layer_works(problem.net, space)
        total = gradient_operations(works, batch)
        due = sum(self.phase(index) is True for index in range(WINDOW)) / WINDOW
        for work in works:
            i = work.layer.fan_in
            total += work.layer.fan_out * (i * i + i * work.layer.bias)
            total += due * (batch * work.positions * i * i / 2 + i**3 / 6 + i**3)
        return total

    def init(self, problem: Problem, params: Params) -> State:
        backend = problem.backend

        def first(layer: Layer) -> Whitening:
            square = zero_array(backend, layer.fan_in, layer.fan_in)
            return Whitening(zero_array(backend, layer.fan_in), square, square)

        return super().init(problem, params), tuple(map(first, problem.net.layers)), zero_array(backend, len(params))

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend = problem.backend
        velocity, whitenings, health = state
        loss, pulled = pull_gradient(problem, params, batch)
        if phase:
            pairs = list(zip(pulled, whitenings, strict=True))
            whitenings, health = self._renewed(backend, pairs, scalars["decay"])
        items = zip(problem.net.layers, pulled, whitenings, strict=True)
        blocks = tuple(layer.block(*_direction(one.gradient(), known), backend) for layer, one, known in items)
        params, velocity = self.descend(backend, params, velocity, blocks, scalars["lr"])
        return Step(params, (velocity, whitenings, health), loss, health)

    def _renewed(
        self, backend: Backend, pairs: Sequence[tuple[LayerPullback, Whitening]], decay: float
    ) -> tuple[tuple[Whitening, ...], Array]:
        """The running averages with a batch's, and numbers that are not finite where an inverse failed."""
        found = []
        health = []
        for layer, old in pairs:
            mean, covariance = _moments(backend, layer)
            moved = mean - old.mean
            between = decay * (1 - decay) * moved[:, None] * moved[None, :]
            average = decay * old.covariance + (1 - decay) * covariance + between
            lower = backend.cholesky(average, self.epsilon)
            found.append(Whitening(old.mean + (1 - decay) * moved, average, inverse_of(backend, lower)))
            health.append(health_of(lower))
        return tuple(found), backend.xp.stack(health)


def _moments(backend: Backend, layer: LayerPullback) -> tuple[Array, Array]:
    """Mean (fan_in,) and covariance (fan_in, fan_in) of a layer's inputs; 0 and second moment if it has no bias."""
    xp = backend.xp
    points = xp.reshape(layer.inputs, (-1, layer.source.shape[2]))
    mean = xp.mean(points, axis=0)
    if layer.bias:
        points = points - mean
    else:
        mean = xp.zeros_like(mean)
    return mean, points.T @ points / points.shape[0]


def _direction(gradient: Weights, known: Whitening) -> Weights:
    """Δ_W and Δ_b."""
    weight, bias = gradient
    if bias is None:
        return weight @ known.inverse, None
    direction = (weight - bias[:, None] * known.mean) @ known.inverse
    return direction, bias - direction @ known.mean
