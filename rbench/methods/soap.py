"""SOAP."""

from collections.abc import Hashable, Mapping
from typing import ClassVar

from pydantic import Field

from rbench.backend import Backend
from rbench.methods import matrices
from rbench.methods.adam import Adaptive, Moments
from rbench.methods.base import Scalars, State, Step, map_blocks, zero_array
from rbench.methods.matrices import Pair
from rbench.methods.operations import EIGEN, gradient_operations, layer_works
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem
from rbench.modules import Params
from rbench.modules.space import Space


class SOAP(Adaptive):
    """Adam in the eigenbasis of Shampoo's factors (Vyas et al. 2024).

    w ← w − η (Q [m̂ / (√ŝ + ε)] Pᵀ + λ w), with Adam's averages m and s of QᵀG P. G is the gradient of a layer as a
    matrix with the bias as its last column; Q and P are the eigenvectors of running averages L and R of G Gᵀ and GᵀG.
    These take up the gradient after the step, and after every `refresh` steps Q and P are renewed. Then m is turned
    into the new basis, and s is reordered: the old directions q and p, in the order of qᵀLq and pᵀRp, give their
    squares to the eigenvectors in the order of the eigenvalues.

    The authors' code takes the first basis from the first gradient, with which it makes no step, and renews it by one
    power iteration and a QR decomposition. Here all bases are eigendecompositions, and the first `refresh` steps have
    the identity for a basis: they are Adam's, and the first basis comes from as many gradients.

    Attributes:
        decay: ρ of L and R.
        refresh: steps between two renewals of the basis.
    """

    name: ClassVar[str] = "soap"
    summary: ClassVar[str] = "Adam in the eigenbasis of Shampoo's factors"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-4, 1),
        "beta1": Choice(0.8, 0.9, 0.95),
        "beta2": Choice(0.95, 0.99, 0.999),
    }
    lr: float = Field(3e-3, gt=0, allow_inf_nan=False)
    beta1: float = Field(0.95, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    decay: float = Field(0.95, ge=0, lt=1)
    refresh: int = Field(10, ge=1)

    def phase(self, step: int) -> Hashable:
        return (step + 1) % self.refresh == 0

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: the gradient's; and for each layer L and R, o a (o + a) / 2.

        Turning G into the basis and the step out of it takes o a (o + a) each; a renewal of the basis takes twice that
        for m, and at both sides n³ for the order and an eigendecomposition.
        """
        total = gradient_operations(layer_works(problem.net, space), batch)
        for layer in problem.net.layers:
            rotation = matrices.rotation_operations(layer)
            total += matrices.factor_operations(layer) + 2 * rotation
            total += (2 * rotation + (1 + EIGEN) * matrices.cubes(layer)) / self.refresh
        return total

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        weights = sum(layer.n_parameters for layer in problem.net.layers)
        factors = [matrices.factor_numbers(layer) for layer in problem.net.layers]
        # The factors, the bases and Adam's averages; the new beside the old, and what one layer's bases are made from.
        kept = 2 * sum(factors) + 2 * weights
        at_once = 4 * sum(factors) + 3 * max(factors) + 4 * weights
        return matrices.workspace(
            problem, datum, batch_size, kept, at_once
        ), "the factors of every layer and their bases"

    def init(self, problem: Problem, params: Params) -> State:
        zeros = matrices.zero_matrices(problem)
        bases = matrices.identities(problem)
        health = zero_array(problem.backend, len(params))
        return tuple(zip(zeros, zeros, strict=True)), matrices.zero_factors(problem), bases, health

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend = problem.backend
        moments, factors, bases, health = state
        loss, gradients = matrices.matrix_gradients(problem, params, batch)
        turned = [q.T @ g @ p for (q, p), g in zip(bases, gradients, strict=True)]
        moments = tuple(self.averaged(old, g) for old, g in zip(moments, turned, strict=True))
        directions = [
            q @ self.direction(backend.xp, new, scalars) @ p.T for (q, p), new in zip(bases, moments, strict=True)
        ]
        rate = scalars["lr"] / scalars["correction1"]
        keep = 1 - scalars["lr"] * self.weight_decay
        params = map_blocks(lambda w, d: keep * w - rate * d, params, matrices.as_blocks(problem, directions))
        pairs = zip(factors, gradients, strict=True)
        factors = tuple(matrices.updated_factors(backend, factor, g, self.decay) for factor, g in pairs)
        if phase:
            found = [[backend.eigh(factor) for factor in pair] for pair in factors]
            renewed = tuple((q, p) for (_, q), (_, p) in found)
            each = zip(moments, factors, bases, renewed, strict=True)
            moments = tuple(_turned(backend, *given) for given in each)
            bases = renewed
            health = backend.xp.stack([backend.xp.sum(one) + backend.xp.sum(other) for (one, _), (other, _) in found])
        return Step(params, (moments, factors, bases, health), loss, health)


def _turned(backend: Backend, moments: Moments, factors: Pair, old: Pair, new: Pair) -> Moments:
    """The averages in a new basis."""
    xp = backend.xp
    first, second = moments
    first = new[0].T @ (old[0] @ first @ old[1].T) @ new[1]
    for axis, (factor, basis) in enumerate(zip(factors, old, strict=True)):
        order = xp.argsort(xp.sum(basis * (factor @ basis), axis=0))
        second = xp.take(second, order, axis=axis)
    return first, second
