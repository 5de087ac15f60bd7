"""Muon."""

from collections.abc import Hashable, Mapping
from operator import itemgetter
from typing import Any, ClassVar, Literal

from pydantic import Field

from rbench.backend import Array, Backend
from rbench.methods.adam import Adaptive, Moments
from rbench.methods.base import Scalars, State, Step, map_blocks
from rbench.methods.matrices import nonzero, norm, workspace
from rbench.methods.operations import gradient_operations, layer_works
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem
from rbench.modules import Params
from rbench.modules.space import Space

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of a polynomial whose iterates bring singular values into a band around 1; steep at 0, so that small ones grow
quickly."""


class Muon(Adaptive):
    """Momentum whose matrices are orthogonalised (Jordan et al. 2024), and Adam for what is no matrix.

    A weight W, as a matrix (fan_out, fan_in), has v ← μ v + G and W ← W − η (√max(1, fan_out / fan_in) O + λ W), where
    O is G + μ v with its singular values brought near 1; v in its place without `nesterov`.

    Biases, the gains and offsets of `ScaleShift`, and with `last=adam` the last layer, which is how the author trains
    networks, go by Adam with the averages of `Adaptive` and their own rate: w ← w − η' (m̂ / (√ŝ + ε) + λ w). The biases
    of `JetLinear` are a column of its weight and go with it.

    Attributes:
        momentum: μ.
        nesterov: whether O is that of G + μ v.
        iterations: Newton-Schulz iterations of each orthogonalisation.
        last: how the weight of the last layer moves.
        adam_lr: η', with the schedule of η.
    """

    name: ClassVar[str] = "muon"
    summary: ClassVar[str] = "momentum with orthogonalised matrices, and Adam for biases"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-4, 1),
        "adam_lr": LogUniform(1e-4, 1),
        "last": Choice("muon", "adam"),
    }
    lr: float = Field(0.02, gt=0, allow_inf_nan=False)
    beta2: float = Field(0.95, ge=0, lt=1)
    momentum: float = Field(0.95, ge=0, lt=1)
    nesterov: bool = True
    iterations: int = Field(5, ge=1)
    last: Literal["muon", "adam"] = "adam"
    adam_lr: float = Field(3e-3, gt=0, allow_inf_nan=False)

    def scalars(self, step: int, total: int) -> Scalars:
        given = super().scalars(step, total)
        return given | {"adam_lr": self.adam_lr * given["lr"] / self.lr}

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: the gradient's, and 3 n² m / 2 + n³ for each iteration on a matrix of sides n ≤ m."""
        total = gradient_operations(layer_works(problem.net, space), batch)
        for small, large in self._sides(problem):
            total += self.iterations * (1.5 * small**2 * large + small**3)
        return total

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        # The momentum is as large as SGD's; beside it are the parts of one iteration.
        parts = [2.0 * small**2 + 4 * small * large for small, large in self._sides(problem)]
        at_once = max(parts, default=0.0)
        return workspace(problem, datum, batch_size, 0.0, at_once), "the parts of an orthogonalisation"

    def _sides(self, problem: Problem) -> list[tuple[int, int]]:
        """The smaller and the larger side of every matrix that is orthogonalised."""
        chosen = zip(problem.net.layers, self._by_muon(problem), strict=True)
        sides = [(layer.fan_out, layer.fan_in) for layer, by_muon in chosen if by_muon]
        return [(min(pair), max(pair)) for pair in sides]

    def _by_muon(self, problem: Problem) -> list[bool]:
        """Whether the weight of each layer is orthogonalised."""
        layers = problem.net.layers
        matrices = [not layer.entrywise for layer in layers]
        return [*matrices[:-1], matrices[-1] and self.last == "muon"]

    def init(self, problem: Problem, params: Params) -> State:
        zeros_like = problem.backend.xp.zeros_like

        def zeros(array: Array, *, matrix: bool) -> Any:
            return zeros_like(array) if matrix else (zeros_like(array), zeros_like(array))

        blocks = zip(self._by_muon(problem), params, strict=True)
        return tuple(
            {key: zeros(array, matrix=by_muon and key == "weight") for key, array in block.items()}
            for by_muon, block in blocks
        )

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend = problem.backend
        loss, gradient = problem.gradient(params, batch)
        moved: list[Any] = []
        for by_muon, weights, kept, slopes in zip(self._by_muon(problem), params, state, gradient, strict=True):
            block = {}
            for key, array in weights.items():
                move = self._orthogonal if by_muon and key == "weight" else self._adaptive
                block[key] = move(backend, array, kept[key], slopes[key], scalars)
            moved.append(block)
        params, state = (map_blocks(itemgetter(index), tuple(moved)) for index in (0, 1))
        return Step(params, state, loss)

    def _adaptive(
        self, backend: Backend, array: Array, moments: Moments, gradient: Array, scalars: Scalars
    ) -> tuple[Array, Moments]:
        """An array and its averages after a step by Adam."""
        moments = self.averaged(moments, gradient)
        rate = scalars["adam_lr"] / scalars["correction1"]
        keep = 1 - scalars["adam_lr"] * self.weight_decay
        return keep * array - rate * self.direction(backend.xp, moments, scalars), moments

    def _orthogonal(
        self, backend: Backend, weight: Array, velocity: Array, gradient: Array, scalars: Scalars
    ) -> tuple[Array, Array]:
        """A weight and its momentum after a step along an orthogonalised matrix."""
        velocity = backend.add_scaled(gradient, self.momentum, velocity)
        push = backend.add_scaled(gradient, self.momentum, velocity) if self.nesterov else velocity
        matrix = backend.xp.reshape(push, (push.shape[0], -1))
        scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
        step = backend.xp.reshape(orthogonalised(backend, matrix, self.iterations), weight.shape)
        keep = 1 - scalars["lr"] * self.weight_decay
        return keep * weight - scalars["lr"] * scale * step, velocity


def orthogonalised(backend: Backend, matrix: Array, iterations: int) -> Array:
    """U p(…p(Σ / ‖Σ‖)) Vᵀ for a matrix U Σ Vᵀ, with p(s) = a s + b s³ + c s⁵, by products alone (Jordan et al. 2024).

    It does not converge, but moves small values quickly: after five iterations those from 0.002 ‖Σ‖ on are between
    0.68 and 1.21. Of zeros it makes zeros.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / nonzero(backend, norm(backend, x))
    for _ in range(iterations):
        gram = backend.gram(x)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x
