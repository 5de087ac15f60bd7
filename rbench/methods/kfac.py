"""K-FAC."""

from collections.abc import Hashable
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from rbench.backend import Array, Backend
from rbench.methods.base import Batch, Problem, Scalars, State, Step
from rbench.methods.descent import Descent, clip_step
from rbench.metrics import LayerRows, get_output_metric, pull_gradient, pull_metric, weight_product
from rbench.modules import Params

_METRICS = {"exact": "ggn", "mc": "ggn_mc", "empirical": "empirical_fisher"}


class KFAC(Descent):
    """Kronecker-factored approximate curvature (Martens and Grosse 2015).

    A layer's metric is approximated by A ⊗ G with input_covariance A = E[ā āᵀ], ā the inputs with a 1 for the bias, and
    gradient_covariance G = E[Σ_k δ_k δ_kᵀ], δ_k the rows of the output metric's factor pulled back to its outputs.
    Layers with several positions use the expand form (Eschenhagen et al. 2023).

    Attributes:
        factors: whose rows δ are: the `exact` GGN's, `mc` samples', or the `empirical` Fisher metric's.
        rank: samples a datum, for `mc`.
        damping: λ.
        damping_split: `pi`, (A + π√λ I) ⊗ (G + √λ/π I) with π² = (tr A / dim A) / (tr G / dim G); or `eigen`,
            A ⊗ G + λ I exactly, in the factors' eigenbases.
        decay: ρ of the running averages A ← ρ A + (1 − ρ) A_batch, min(1 − 1/k, ρ) at the k-th refresh; 0 for none.
        refresh: steps between two computations of the factors and their inverses.
        kl_clip: c, by which Δ is scaled before momentum so that η² gᵀΔ ≤ c; None for no clip.
    """

    name: ClassVar[str] = "kfac"
    summary: ClassVar[str] = "Kronecker-factored curvature, running averages, refreshed at intervals"
    always: ClassVar[tuple[str, ...]] = ("lr", "damping")
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    factors: Literal["exact", "mc", "empirical"] = "mc"
    rank: int = Field(1, ge=1)
    damping: float = Field(0.1, gt=0)
    damping_split: Literal["pi", "eigen"] = "pi"
    decay: float = Field(0.95, ge=0, lt=1)
    refresh: int = Field(1, ge=1)
    kl_clip: float | None = Field(None, gt=0)

    @property
    def samples(self) -> int:
        return self.rank if self.factors == "mc" else 0

    def samples_in(self, phase: Hashable) -> int:
        return self.samples if phase else 0

    def phase(self, step: int) -> Hashable:
        return step % self.refresh == 0

    def scalars(self, step: int, total: int) -> Scalars:
        refreshes = step // self.refresh + 1
        return super().scalars(step, total) | {"decay": min(1 - 1 / refreshes, self.decay)}

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        _, pairs = pull_gradient(problem.backend, problem.net, params, problem.loss, datum.x, datum.y)
        (z,), _ = problem.net.forward(problem.backend, params, (datum.x,))
        rank = get_output_metric(_METRICS[self.factors], self.rank).rank(z.shape[1])
        numbers = sum(pair.cotangents.shape[2] * pair.cotangents.shape[3] for pair in pairs)
        return problem.backend.itemsize * batch_size * (
            rank + 1
        ) * numbers, f"{rank} rows a datum at the outputs of every layer"

    def init(self, problem: Problem, params: Params) -> State:
        xp = problem.backend.xp
        kind = {"dtype": problem.backend.float_dtype, "device": problem.backend.native_device}

        def zeros(size: int) -> _Factor:
            square = xp.zeros((size, size), **kind)
            return _Factor(square, square, xp.zeros((size,), **kind))

        layers = problem.net.layers
        factors = tuple((zeros(layer.fan_in + layer.bias), zeros(layer.fan_out)) for layer in layers)
        return super().init(problem, params), factors, xp.zeros((len(layers),), **kind)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend, layers, lr = problem.backend, problem.net.layers, scalars["lr"]
        velocity, factors, health = state
        common = backend, problem.net, params, problem.loss
        if phase:
            metric = get_output_metric(_METRICS[self.factors], self.rank)
            loss, pulled = pull_metric(*common, metric, "stack", batch.x, batch.y, batch.noise)
            pairs = [
                self._refreshed(backend, rows, pair, scalars["decay"])
                for rows, pair in zip(pulled, factors, strict=True)
            ]
            factors = tuple(pair for pair, _ in pairs)
            health = backend.xp.stack([value for _, value in pairs])
            gradients = [weight_product(backend, rows.source, rows.gradient_rows) for rows in pulled]
        else:
            loss, plain = pull_gradient(*common, batch.x, batch.y)
            gradients = [weight_product(backend, pair.source, pair.cotangents[:, 0, :, :]) for pair in plain]
        blocks, slopes = [], []
        for layer, pair, (weight, bias) in zip(layers, factors, gradients, strict=True):
            gradient = backend.xp.concat([weight, bias[:, None]], axis=1) if layer.bias else weight
            direction = self._apply(pair, gradient)
            slopes.append(backend.xp.sum(gradient * direction))
            blocks.append(layer.block(direction[:, : layer.fan_in], direction[:, -1], backend))
        slope = backend.xp.sum(backend.xp.stack(slopes))
        clipped = clip_step(problem, tuple(blocks), slope, lr, self.kl_clip)
        params, velocity = self.descend(backend, params, velocity, clipped, lr)
        return Step(params, (velocity, factors, health), loss, health)

    def _refreshed(
        self, backend: Backend, rows: LayerRows, old: tuple["_Factor", "_Factor"], decay: float
    ) -> tuple[tuple["_Factor", "_Factor"], Array]:
        """New running averages and what is solved with; and the number that is NaN where that failed."""
        new = input_covariance(backend, rows), gradient_covariance(backend, rows)
        covariances = [decay * factor.covariance + (1 - decay) * value for factor, value in zip(old, new, strict=True)]
        if self.damping_split == "eigen":
            parts = [backend.eigh(covariance) for covariance in covariances]
            a, g = (
                _Factor(covariance, vectors, _not_negative(backend, values))
                for covariance, (values, vectors) in zip(covariances, parts, strict=True)
            )
            return (a, g), backend.xp.sum(a.values) + backend.xp.sum(g.values)
        means = [backend.xp.sum(factor * backend.eye(factor.shape[0])) / factor.shape[0] for factor in covariances]
        # Where a factor is zero, as behind units that are all dead, there is no ratio to split by.
        floor = backend.xp.full_like(means[0], float(backend.xp.finfo(means[0].dtype).smallest_normal) ** 0.5)
        pi = backend.xp.sqrt(backend.xp.maximum(means[0], floor) / backend.xp.maximum(means[1], floor))
        root = self.damping**0.5
        (a, a_health), (g, g_health) = (
            _inverted(backend, cov, damping) for cov, damping in zip(covariances, (pi * root, root / pi), strict=True)
        )
        return (a, g), a_health + g_health

    def _apply(self, pair: tuple["_Factor", "_Factor"], gradient: Array) -> Array:
        a, g = pair
        if self.damping_split == "pi":
            return g.matrix @ gradient @ a.matrix
        rotated = g.matrix.T @ gradient @ a.matrix
        return g.matrix @ (rotated / (g.values[:, None] * a.values[None, :] + self.damping)) @ a.matrix.T


class _Factor(NamedTuple):
    """One Kronecker factor.

    Attributes:
        covariance: its running average, (size, size).
        matrix: the damped inverse; or the eigenvectors, as columns.
        values: the eigenvalues (size,); zeros where the inverse is kept.
    """

    covariance: Array
    matrix: Array
    values: Array


def input_covariance(backend: Backend, rows: LayerRows) -> Array:
    """A = E[ā āᵀ] over data and positions, (fan_in [+1], fan_in [+1])."""
    xp = backend.xp
    flat = xp.reshape(rows.inputs, (-1, rows.inputs.shape[2]))
    if rows.bias:
        flat = xp.concat([flat, xp.ones_like(flat[:, :1])], axis=1)
    return flat.T @ flat / flat.shape[0]


def gradient_covariance(backend: Backend, rows: LayerRows) -> Array:
    """G = E[Σ_kt δ_kt δ_ktᵀ] over data, (fan_out, fan_out); the rows carry the 1/√B of the mean."""
    flat = backend.xp.reshape(rows.factor_rows, (-1, rows.rows.shape[3]))
    return flat.T @ flat


def _inverted(backend: Backend, covariance: Array, damping: Any) -> tuple[_Factor, Array]:
    identity = backend.eye(covariance.shape[0])
    lower = backend.cholesky(covariance, damping)
    half = backend.solve_triangular(lower, identity)
    return _Factor(covariance, half.T @ half, covariance[0, :] * 0), lower[0, 0] + lower[-1, -1]


def _not_negative(backend: Backend, values: Array) -> Array:
    return backend.xp.maximum(values, backend.xp.zeros_like(values))
