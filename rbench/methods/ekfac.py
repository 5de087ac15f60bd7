"""EKFAC: K-FAC's eigenvectors, with the metric along them estimated anew."""

from collections.abc import Hashable, Sequence
from functools import reduce
from math import prod
from operator import add
from typing import ClassVar, Literal

from rbench.backend import Array, Backend
from rbench.checks import outputs
from rbench.methods import kronecker, matrices
from rbench.methods.base import Scalars, State
from rbench.methods.kfac import KFAC
from rbench.methods.kronecker import Factor, GradientProduct
from rbench.methods.operations import LayerWork, layer_works
from rbench.metrics import Batch, Problem
from rbench.modules import LayerPullback, Params
from rbench.modules.space import space_of
from rbench.solvers.rows import row_matrix


class EKFAC(KFAC):
    """Eigenvalue-corrected K-FAC (George, Laurent, Bouthillier, Ballas and Vincent 2018).

    With the eigenvectors U of K-FAC's G and W of its A, a layer's metric is diagonal in the basis U ⊗ W, and its
    entries are those of the layer's exact metric:

        s_ij = E[Σ_k (Uᵀ V_k W)²_ij],    Δ = U [(Uᵀ g W) / (s + λ)] Wᵀ,

    where V_k, in the shape of the weights, are a datum's rows of the metric. Where positions share weights V_k is the
    sum over them, so cross terms of positions count, which K-FAC leaves out. No other diagonal in this basis is nearer
    to the exact metric in the Frobenius norm.

    s is computed at every step, which therefore pulls rows back. It starts anew when the eigenvectors do, at every
    `refresh`-th step, and in between is a running average, s ← ρ_k s + (1 − ρ_k) s_batch with ρ_k = min(1 − 1/k,
    `decay`) at its k-th batch. With `refresh=1` it is that of the batch. Where an eigenvalue of A or G is repeated, as
    zero often is, the basis of its eigenvectors is arbitrary, and so is s along them.

    There is no `damping_split`: λ is added to s.
    """

    name: ClassVar[str] = "ekfac"
    summary: ClassVar[str] = "K-FAC's eigenvectors, the metric along them estimated at every step"
    damping_split: ClassVar[Literal["eigen"]] = "eigen"  # type: ignore[misc]

    def pulls_rows(self, phase: Hashable) -> bool:
        return True

    def scalars(self, step: int, total: int) -> Scalars:
        return super().scalars(step, total) | {"scale_decay": kronecker.decay_at(step % self.refresh, self.decay)}

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        factors, words = super().workspace_bytes(problem, params, datum, batch_size)
        space = space_of(datum.x)
        rank = self.metric.rank(problem.loss, outputs(problem.net, space))
        widest = max(work.positions * work.layer.fan_out for work in layer_works(problem.net, space))
        # The new and old s; for one layer the rows along the eigenvectors, when the activations are gone.
        scales = 2.0 * sum(layer.n_parameters for layer in problem.net.layers)
        rows = max(0, self.metric_data(batch_size) * rank - batch_size) * widest
        return factors + problem.backend.itemsize * (scales + rows), words

    def scale_operations(self, work: LayerWork, data: int, rank: int) -> float:
        """Pairs of s: inputs and rows along the eigenvectors, B P (a² + rank o²), and their products, B P rank o a.

        With one position the squares of a datum's rows are added before these are multiplied: B o a.
        """
        a = work.layer.width
        o = work.layer.fan_out
        points = data * work.positions
        return float(points * (a * a + rank * o * o + o * a * (rank if work.positions > 1 else 1)))

    def init(self, problem: Problem, params: Params) -> State:
        velocity, factors, health = super().init(problem, params)
        return velocity, (factors, matrices.zero_matrices(problem)), health

    def solved(
        self,
        problem: Problem,
        gradients: Sequence[GradientProduct],
        pulled: Sequence[LayerPullback],
        kept: State,
        health: Array,
        scalars: Scalars,
        phase: Hashable,
    ) -> tuple[list[Array], State, Array]:
        backend = problem.backend
        factors, scales = kept
        factors, health = self.renewed(backend, pulled, factors, health, scalars, phase)
        decay = scalars["scale_decay"]
        new = [second_moments(backend, *item) for item in zip(pulled, factors, strict=True)]
        scales = tuple(decay * old + (1 - decay) * moments for old, moments in zip(scales, new, strict=True))
        items = zip(factors, gradients, scales, strict=True)
        directions = [kronecker.solve_eigen(pair, gradient, s + self.damping) for pair, gradient, s in items]
        return directions, (factors, scales), health


def second_moments(backend: Backend, layer: LayerPullback, pair: tuple[Factor, Factor]) -> Array:
    """s = E[Σ_k (Uᵀ V_k W)²] over the data, (fan_out, fan_in [+1]); the rows carry the 1/√B of the mean."""
    xp = backend.xp
    a, g = pair
    examples, positions, _ = layer.source.shape
    inputs = xp.reshape(kronecker.input_points(backend, layer) @ a.matrix, (examples, positions, -1))
    rows = xp.reshape(kronecker.gradient_points(backend, layer) @ g.matrix, (examples, -1, positions, layer.fan_out))
    if positions == 1:
        return xp.sum(rows**2, axis=1)[:, 0, :].T @ inputs[:, 0, :] ** 2
    # Rows of some data at a time, which take no more memory than these inputs and cotangents.
    group = max(1, (prod(inputs.shape) + prod(rows.shape)) // (rows.shape[1] * layer.fan_out * layer.width))

    def squares(start: int) -> Array:
        some = slice(start, start + group)
        return xp.sum(row_matrix(backend, inputs[some, :, :], rows[some, :, :, :]) ** 2, axis=0)

    return reduce(add, map(squares, range(0, examples, group)))
