"""Steps that are normalised in the modular norm."""

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from rbench.backend import Array, Backend
from rbench.errors import SpecError
from rbench.methods import matrices
from rbench.methods.adam import Adaptive
from rbench.methods.base import Scalars, State, Step, zero_array
from rbench.methods.modular_sensitivity import downstream
from rbench.methods.operations import gradient_operations, layer_works
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem
from rbench.modules import Layer, Params
from rbench.modules.space import Space


class ModularNorm(Adaptive):
    """Adam's step or SGD's, normalised layer by layer in the modular norm (Large et al. 2024, arXiv 2405.14813).

    The modular norm of a step Δ is max_l (M / m_l) σ_l ‖Δ_l‖, with the masses m_l of the layers and their sum M, and
    the sensitivity σ_l of the network's outputs to those of layer l (`rbench.methods.modular_sensitivity`). All layers
    get their share of a step of norm η:

    w_l ← w_l − η_l (Δ_l / ‖Δ_l‖ + λ w_l) with η_l = η m_l / (M σ_l).

    ‖Δ_l‖ is the operator norm from root mean square to root mean square: √(fan_in / fan_out) times the largest singular
    value of the matrix (fan_out, fan_in), where a bias counts as an input that is always 1. For a convolution this is
    the norm from a window to a pixel: at most the authors', which is that of each pixel of the kernel, k² times the
    largest. Of the gains and offsets of `ScaleShift`, which the authors do not have, it is the largest gain plus the
    root mean square of the offsets.

    The singular value is found by power iteration from the last step's vector, as the authors do: an
    eigendecomposition of each gradient would take far longer than the rest of a step. The value is at most the exact
    one, and is not taken below ‖Δ‖_F / √n, the least that it can be for a smaller side n.

    As in the paper a layer's own sensitivity is 1, that of a weight with norm 1. Initial weights here have norms of
    some units, so η is to be tuned.

    Attributes:
        base: Δ: `adam`, m̂ / (√ŝ + ε); or `sgd`, m.
        masses: m_l, a number per layer, in order; none for 1 each.
        iterations: power iterations per step.
    """

    name: ClassVar[str] = "modular-norm"
    summary: ClassVar[str] = "Adam's or SGD's steps, normalised in the modular norm of the network"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 3),
        "base": Choice("adam", "sgd"),
        "beta1": Choice(0.8, 0.9, 0.95),
    }
    lr: float = Field(0.1, gt=0, allow_inf_nan=False)
    beta2: float = Field(0.99, ge=0, lt=1)
    base: Literal["adam", "sgd"] = "adam"
    masses: tuple[float, ...] = ()
    iterations: int = Field(1, ge=1)

    @field_validator("masses")
    @classmethod
    def _masses_are_positive(cls, masses: Any) -> Any:
        if not all(0 < mass < float("inf") for mass in masses):
            raise ValueError("masses must be positive and finite: a layer's share of the step is its mass over all")
        return masses

    def check(self, problem: Problem) -> None:
        downstream(problem.net)
        count = len(problem.net.layers)
        if self.masses and len(self.masses) != count:
            raise SpecError(
                f"masses has {len(self.masses)} numbers for a network of {count} layers with weights; give one for "
                "each, or none"
            )

    def shares(self, problem: Problem) -> list[float]:
        """m_l / (M σ_l) for every layer."""
        sensitivities = downstream(problem.net)
        masses = self.masses or (1.0,) * len(sensitivities)
        return [mass / (sum(masses) * after) for mass, after in zip(masses, sensitivities, strict=True)]

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: the gradient's, and two products of each layer's matrix with a vector per iteration."""
        total = gradient_operations(layer_works(problem.net, space), batch)
        sizes = [layer.n_parameters for layer in problem.net.layers if not layer.entrywise]
        return total + 2.0 * self.iterations * sum(sizes)

    def init(self, problem: Problem, params: Params) -> State:
        backend = problem.backend
        zeros = matrices.zero_matrices(problem)
        moments = zeros if self.base == "sgd" else tuple(zip(zeros, zeros, strict=True))
        vectors = tuple(zero_array(backend, layer.width) + layer.width**-0.5 for layer in problem.net.layers)
        return moments, vectors

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend = problem.backend
        loss, gradients = matrices.matrix_gradients(problem, params, batch)
        based = [self._base(backend, old, g, scalars) for old, g in zip(state[0], gradients, strict=True)]
        directions = [direction for direction, _ in based]
        layers = zip(problem.net.layers, directions, state[1], strict=True)
        normed = [self._norm(backend, *each) for each in layers]
        steps = [
            direction / matrices.nonzero(backend, norm) for direction, (norm, _) in zip(directions, normed, strict=True)
        ]
        rates = [scalars["lr"] * share for share in self.shares(problem)]
        blocks = zip(rates, params, matrices.as_blocks(problem, steps), strict=True)
        params = tuple(
            {key: (1 - rate * self.weight_decay) * block[key] - rate * step[key] for key in block}
            for rate, block, step in blocks
        )
        moments = tuple(kept for _, kept in based)
        return Step(params, (moments, tuple(vector for _, vector in normed)), loss)

    def _base(self, backend: Backend, moments: Any, gradient: Array, scalars: Scalars) -> tuple[Array, Any]:
        """Δ but for a factor, and the averages that it is made of."""
        if self.base == "sgd":
            first = self.beta1 * moments + (1 - self.beta1) * gradient
            return first, first
        moments = self.averaged(moments, gradient)
        return self.direction(backend.xp, moments, scalars), moments

    def _norm(self, backend: Backend, layer: Layer, direction: Array, vector: Array) -> tuple[Array, Array]:
        """‖Δ_l‖, and the vector of the power iteration, (fan_in [+1],) of length 1."""
        xp = backend.xp
        rows, columns = direction.shape
        if layer.entrywise:
            half = rows // 2
            gain = xp.max(xp.abs(direction[:half, 0]))
            return gain + matrices.norm(backend, direction[half:, 0]) / half**0.5, vector
        whole = matrices.norm(backend, direction)
        value = whole
        for _ in range(self.iterations):
            image = direction @ vector
            pulled = direction.T @ (image / matrices.nonzero(backend, matrices.norm(backend, image)))
            value = matrices.norm(backend, pulled)
            # A direction of zeros, as behind dead units, must not end the iteration.
            vector = xp.where(value > 0, pulled / matrices.nonzero(backend, value), vector)
        value = xp.maximum(value, whole / min(rows, columns) ** 0.5)
        return (columns / rows) ** 0.5 * value, vector
