"""Shampoo."""

from collections.abc import Hashable, Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from rbench.backend import Array, Backend
from rbench.methods import matrices
from rbench.methods.base import Scalars, State, Step, zero_array
from rbench.methods.descent import Descent
from rbench.methods.operations import EIGEN, gradient_operations, layer_works
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem
from rbench.modules import Params
from rbench.modules.space import Space


class Shampoo(Descent):
    """Preconditioning of a layer's gradient from both sides (Gupta, Koren and Singer 2018).

    Δ = (L + ε I)^(−1/4) G (R + ε I)^(−1/4), where G is the gradient of a layer as a matrix with the bias as its last
    column. L and R are running averages of G Gᵀ and GᵀG over all steps, corrected for their start at zero (Shi et al.
    2023); or their sums, as the authors have them.

    With `graft` Δ has, layer by layer, the length ‖D‖ of another method's step (Agarwal et al. 2020; Anil et al. 2020):
    D = G for `sgd`, and D = G / (√s + ε') for `adam`, s being averages or sums of squares of G as L is of G Gᵀ. There
    is no average of G in D, for the momentum here is that of Δ; with sums this is Adagrad.

    Attributes:
        decay: ρ of the running averages; None for sums.
        epsilon: ε.
        refresh: steps between two computations of the roots.
        graft: the method whose length is taken; None for Δ as it is.
        graft_epsilon: ε'.
    """

    name: ClassVar[str] = "shampoo"
    summary: ClassVar[str] = "roots of the gradient's second moments at both sides of a layer, with grafting"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-4, 1),
        "epsilon": LogUniform(1e-12, 1e-2),
        "graft": Choice(None, "sgd", "adam"),
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    decay: float | None = Field(0.95, ge=0, lt=1)
    epsilon: float = Field(1e-6, gt=0)
    refresh: int = Field(1, ge=1)
    graft: Literal["sgd", "adam"] | None = None
    graft_epsilon: float = Field(1e-8, gt=0)

    @model_validator(mode="after")
    def _an_epsilon_of_adam_goes_with_its_length(self) -> "Shampoo":
        if self.graft != "adam" and self.graft_epsilon != type(self).model_fields["graft_epsilon"].default:
            raise ValueError(f"graft_epsilon={self.graft_epsilon} is a setting of graft=adam: leave it out")
        return self

    def phase(self, step: int) -> Hashable:
        return step % self.refresh == 0

    def scalars(self, step: int, total: int) -> Scalars:
        correction = 1.0 if self.decay is None else 1 - self.decay ** (step + 1)
        return super().scalars(step, total) | {"correction": correction}

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: the gradient's; and for each layer L and R, o a (o + a) / 2, and Δ, o a (o + a).

        At a refresh an eigendecomposition, and n³ / 2 for the root, at both sides.
        """
        total = gradient_operations(layer_works(problem.net, space), batch)
        for layer in problem.net.layers:
            total += matrices.factor_operations(layer) + matrices.rotation_operations(layer)
            total += (EIGEN + 0.5) * matrices.cubes(layer) / self.refresh
        return total

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        weights = sum(layer.n_parameters for layer in problem.net.layers)
        factors = [matrices.factor_numbers(layer) for layer in problem.net.layers]
        squares = weights if self.graft == "adam" else 0
        # The factors and their roots; at a refresh the new beside the old, and what one layer's roots are made from.
        kept = 2 * sum(factors) + squares + weights
        at_once = 4 * sum(factors) + 3 * max(factors) + 3 * squares + weights
        return matrices.workspace(
            problem, datum, batch_size, kept, at_once
        ), "the factors of every layer and their roots"

    def init(self, problem: Problem, params: Params) -> State:
        factors = matrices.zero_factors(problem)
        roots = matrices.identities(problem)
        squares = matrices.zero_matrices(problem) if self.graft == "adam" else ()
        health = zero_array(problem.backend, len(params))
        return super().init(problem, params), factors, roots, squares, health

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend = problem.backend
        velocity, factors, roots, squares, health = state
        correction = scalars["correction"]
        loss, gradients = matrices.matrix_gradients(problem, params, batch)
        pairs = zip(factors, gradients, strict=True)
        factors = tuple(matrices.updated_factors(backend, factor, g, self.decay) for factor, g in pairs)
        if phase:
            found = [[self._root(backend, factor / correction) for factor in pair] for pair in factors]
            roots = tuple((left, right) for (left, _), (right, _) in found)
            health = backend.xp.stack([one + other for (_, one), (_, other) in found])
        directions = [left @ g @ right for (left, right), g in zip(roots, gradients, strict=True)]
        if self.graft == "adam":
            squares = tuple(matrices.running(s, g * g, self.decay) for s, g in zip(squares, gradients, strict=True))
            root = correction**0.5
            gradients = [
                g / (backend.xp.sqrt(s) / root + self.graft_epsilon) for g, s in zip(gradients, squares, strict=True)
            ]
        if self.graft is not None:
            directions = [_grafted(backend, d, g) for d, g in zip(directions, gradients, strict=True)]
        blocks = matrices.as_blocks(problem, directions)
        params, velocity = self.descend(backend, params, velocity, blocks, scalars["lr"])
        return Step(params, (velocity, factors, roots, squares, health), loss, health)

    def _root(self, backend: Backend, factor: Array) -> tuple[Array, Array]:
        """(factor + ε I)^(−1/4), and a number that is not finite where that failed."""
        xp = backend.xp
        values, vectors = backend.eigh(factor)
        # Rounding may leave an eigenvalue of zero below it.
        shifted = xp.maximum(values, xp.zeros_like(values)) + self.epsilon
        half = vectors * shifted**-0.125
        return backend.gram(half), xp.sum(values)


def _grafted(backend: Backend, direction: Array, other: Array) -> Array:
    """A direction with the length of another."""
    length, wanted = matrices.norm(backend, direction), matrices.norm(backend, other)
    return wanted * (direction / matrices.nonzero(backend, length))
