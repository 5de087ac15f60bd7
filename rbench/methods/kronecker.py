"""The Kronecker factors of a layer, A ⊗ G, and the ways to solve with them."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, Literal, NamedTuple, TypeAlias

from rbench.backend import Array, Backend
from rbench.methods.base import zero_array
from rbench.methods.operations import EIGEN
from rbench.modules import Layer, LayerPullback
from rbench.modules.pullback import as_matrix
from rbench.solvers.base import health_of, solve_cholesky

Sharing: TypeAlias = Literal["expand", "reduce"]
"""How the positions of a layer that shares its weights enter the factors (Eschenhagen et al. 2023)."""

Inversion: TypeAlias = Literal["inverse", "cholesky", "eigen"]
"""What is kept to solve with: the damped inverse, its Cholesky factor, or the eigenvectors."""


GradientProduct: TypeAlias = tuple[Array | None, Array]
"""A gradient (fan_out, fan_in [+1]) as leftᵀ right, in points; or None and the gradient itself."""


class Factor(NamedTuple):
    """One Kronecker factor.

    Attributes:
        covariance: its running average, (size, size).
        matrix: the matrix to solve with, see `Inversion`.
        values: the eigenvalues (size,), zeros unless `eigen`.
    """

    covariance: Array
    matrix: Array
    values: Array


def input_points(backend: Backend, layer: LayerPullback, sharing: Sharing = "expand") -> Array:
    """Inputs with the bias's 1, (points, fan_in [+1]): of all positions, or their mean over a datum's positions."""
    xp = backend.xp
    inputs = xp.mean(layer.inputs, axis=1) if sharing == "reduce" else layer.inputs
    flat = xp.reshape(inputs, (-1, layer.source.shape[2]))
    return xp.concat([flat, xp.ones_like(flat[:, :1])], axis=1) if layer.bias else flat


def gradient_points(backend: Backend, layer: LayerPullback, sharing: Sharing = "expand") -> Array:
    """The metric's rows at the outputs, (points, fan_out): of all positions, or their sum over a datum's positions."""
    cotangents = layer.factor_rows
    if sharing == "reduce":
        cotangents = backend.xp.sum(cotangents, axis=2)
    return backend.xp.reshape(cotangents, (-1, layer.fan_out))


def input_covariance(backend: Backend, layer: LayerPullback, sharing: Sharing = "expand") -> Array:
    """A = E[ā āᵀ] over data and positions, (fan_in [+1], fan_in [+1])."""
    points = input_points(backend, layer, sharing)
    return points.T @ points / points.shape[0]


def gradient_covariance(backend: Backend, layer: LayerPullback, sharing: Sharing = "expand") -> Array:
    """G = E[Σ_kt δ_kt δ_ktᵀ] over data, (fan_out, fan_out); the rows carry the 1/√B of the mean."""
    points = gradient_points(backend, layer, sharing)
    return points.T @ points


FACTORING = {"cholesky": 1 / 6, "inverse": 1 / 6 + 1, "eigen": EIGEN}
"""Pairs of preparing a factor to be solved with, over its side cubed."""


def refresh_operations(layer: Layer, points: int, rank: int, inversion: Inversion) -> float:
    """Pairs of a layer's factors from points of inputs and `rank` rows for each, and of preparing both."""
    a = layer.width
    o = layer.fan_out
    return (a * a * points + o * o * points * rank) / 2 + FACTORING[inversion] * (a**3 + o**3)


def solve_operations(layer: Layer, points: int, inversion: Inversion) -> float:
    """Pairs of solving with a layer's factors for a gradient that is a product of so many points."""
    a = layer.width
    o = layer.fan_out
    total = points * (o * o + a * a) if in_points(points, layer) else o * a * (o + a)
    return float(total + (o * a * (o + a) if inversion == "eigen" else 0))


def in_points(points: int, layer: Layer | LayerPullback) -> bool:
    """Whether solving with a gradient's points, p (o² + a²) pairs, takes less than with its matrix, o a (o + a)."""
    o = layer.fan_out
    a = layer.width
    return points * (o**2 + a**2) < o * a * (o + a)


def gradient_product(backend: Backend, parts: Sequence[LayerPullback]) -> GradientProduct:
    """The gradient leftᵀ right (fan_out, fan_in [+1]) in points, if quicker to solve with; else None and itself.

    In points it is cotangents (points, fan_out) and inputs with the bias's 1, (points, fan_in [+1]). It is the sum over
    the parts of a batch.
    """
    first = parts[0]
    points = sum(part.source.shape[0] * part.source.shape[1] for part in parts)
    if in_points(points, first):
        cotangents = [backend.xp.reshape(part.gradient_rows, (-1, part.fan_out)) for part in parts]
        return backend.xp.concat(cotangents), backend.xp.concat([input_points(backend, part) for part in parts])
    return None, reduce(add, [as_matrix(backend, part.gradient()) for part in parts])


def slope(backend: Backend, gradient: GradientProduct, direction: Array) -> Array:
    """gᵀΔ, a scalar, given what `gradient_product` returned."""
    left, right = gradient
    return backend.xp.sum(right * direction if left is None else left * (right @ direction.T))


def split_damping(backend: Backend, means: tuple[Array, Array], damping: float) -> tuple[Array, Array]:
    """π√λ and √λ/π with π² = (tr A / dim A) / (tr G / dim G), given the means of both diagonals."""
    xp = backend.xp
    # Where a factor is zero, as after units that are all dead, there is no ratio to split by.
    floor = xp.full_like(means[0], float(xp.finfo(means[0].dtype).smallest_normal) ** 0.5)
    pi = xp.sqrt(xp.maximum(means[0], floor) / xp.maximum(means[1], floor))
    return pi * damping**0.5, damping**0.5 / pi


def prepare(
    backend: Backend, covariances: list[Array], damping: float, inversion: Inversion
) -> tuple[tuple[Factor, Factor], Array]:
    """The factors A and G ready to solve with, and a number that is not finite where that failed."""
    xp = backend.xp
    if inversion == "eigen":
        parts = [backend.eigh(covariance) for covariance in covariances]
        kept = [xp.maximum(values, xp.zeros_like(values)) for values, _ in parts]
        a, g = (Factor(c, v, k) for c, (_, v), k in zip(covariances, parts, kept, strict=True))
        return (a, g), xp.sum(a.values) + xp.sum(g.values)
    mean_a, mean_g = (xp.mean(xp.reshape(c, (-1,))[:: c.shape[0] + 1]) for c in covariances)
    dampings = split_damping(backend, (mean_a, mean_g), damping)
    lowers = [backend.cholesky(c, shift) for c, shift in zip(covariances, dampings, strict=True)]
    matrices = [_to_solve_with(backend, lower, inversion) for lower in lowers]
    a, g = (Factor(c, matrix, c[0, :] * 0) for c, matrix in zip(covariances, matrices, strict=True))
    return (a, g), health_of(*lowers)


def _to_solve_with(backend: Backend, lower: Array, inversion: Inversion) -> Array:
    """L itself or (L Lᵀ)⁻¹; one factor at a time, so that no root outlives its inverse."""
    return lower if inversion == "cholesky" else inverse_of(backend, lower)


def inverse_of(backend: Backend, lower: Array) -> Array:
    """(L Lᵀ)⁻¹, (n, n), given L."""
    root = backend.solve_triangular(lower, backend.eye(lower.shape[0]))
    return root.T @ root


def solve(
    backend: Backend,
    pair: tuple[Factor, Factor],
    gradient: GradientProduct,
    damping: float,
    inversion: Inversion,
) -> Array:
    """Δ with (A ⊗ G damped) Δ = g, (fan_out, fan_in [+1])."""
    a, g = pair
    left, right = gradient
    if inversion == "eigen":
        return solve_eigen(pair, gradient, g.values[:, None] * a.values[None, :] + damping)
    if inversion == "inverse":
        return solve_inverse(a.matrix, g.matrix, gradient)
    if left is None:
        return solve_cholesky(backend, a.matrix, solve_cholesky(backend, g.matrix, right).T).T
    return solve_cholesky(backend, g.matrix, left.T) @ solve_cholesky(backend, a.matrix, right.T).T


def solve_eigen(pair: tuple[Factor, Factor], gradient: GradientProduct, eigenvalues: Array) -> Array:
    """Δ = U [(Uᵀ g W) / s] Wᵀ for the eigenvectors U of G and W of A, given s (fan_out, fan_in [+1])."""
    a, g = pair
    left, right = gradient
    rotated = g.matrix.T @ right @ a.matrix if left is None else (left @ g.matrix).T @ (right @ a.matrix)
    return g.matrix @ (rotated / eigenvalues) @ a.matrix.T


def solve_inverse(a: Array, g: Array, gradient: GradientProduct) -> Array:
    """Δ = G⁻¹ g A⁻¹, given the inverses and what `gradient_product` returned."""
    left, right = gradient
    return g @ right @ a if left is None else (left @ g).T @ (right @ a)


def solve_with_batch(backend: Backend, layer: LayerPullback, damping: float, sharing: Sharing) -> tuple[Array, Array]:
    """Δ for π-damped factors of this batch alone; a factor with fewer points than its size is solved in its points.

    With points X, A = XᵀX/P and g = ΓᵀX, the push-through identity gives X (A + α)⁻¹ = (XXᵀ/P + α)⁻¹ X; with points D,
    G = DᵀD, Woodbury's gives Γ (G + β)⁻¹ = (Γ − Γ Dᵀ (DDᵀ + β)⁻¹ D) / β. So neither factor is formed, and the weight
    product is replaced, not added to.

    The other result is a number that is not finite where a matrix could not be factored.
    """
    xp = backend.xp
    x = input_points(backend, layer, sharing)
    d = gradient_points(backend, layer, sharing)
    count = x.shape[0]
    means = xp.sum(x * x) / (count * x.shape[1]), xp.sum(d * d) / d.shape[1]
    alpha, beta = split_damping(backend, means, damping)
    few_x = sharing == "expand" and count < x.shape[1]
    few_d = d.shape[0] < d.shape[1]
    gamma = xp.reshape(layer.gradient_rows, (-1, d.shape[1]))
    lowers = []
    if few_d:
        lower = backend.cholesky(d @ d.T, beta)
        gamma = (gamma - solve_cholesky(backend, lower, d @ gamma.T).T @ d) / beta
        lowers.append(lower)
    if few_x:
        lower = backend.cholesky(x @ x.T / count, alpha)
        direction = gamma.T @ solve_cholesky(backend, lower, x)
    else:
        gradient = as_matrix(backend, layer.product(xp.reshape(gamma, layer.gradient_rows.shape)))
        lower = backend.cholesky(x.T @ x / count, alpha)
        direction = solve_cholesky(backend, lower, gradient.T).T
    lowers.append(lower)
    if not few_d:
        lower = backend.cholesky(d.T @ d, beta)
        direction = solve_cholesky(backend, lower, direction)
        lowers.append(lower)
    return direction, health_of(*lowers)


def zero_factor(backend: Backend, size: int) -> Factor:
    """The factor before the first refresh."""
    square = zero_array(backend, size, size)
    return Factor(square, square, zero_array(backend, size))


def zero_factors(backend: Backend, layers: Sequence[Layer]) -> tuple[tuple[Factor, Factor], ...]:
    """A and G of every layer before the first refresh."""
    return tuple((zero_factor(backend, layer.width), zero_factor(backend, layer.fan_out)) for layer in layers)


def decay_at(refresh: int, decay: float) -> float:
    """The weight of the earlier averages at a 0-based refresh k: min(1 - 1/(k + 1), ρ)."""
    return min(1 - 1 / (refresh + 1), decay)


def refreshed(
    backend: Backend,
    pulled: Sequence[LayerPullback],
    factors: Sequence[tuple[Factor, Factor]],
    decay: Any,
    damping: float,
    inversion: Inversion,
    sharing: Sharing = "expand",
) -> tuple[tuple[tuple[Factor, Factor], ...], Array]:
    """New running averages with the matrices to solve with; and numbers that are not finite where that failed."""
    prepared = []
    for rows, old in zip(pulled, factors, strict=True):
        new = input_covariance(backend, rows, sharing), gradient_covariance(backend, rows, sharing)
        averages = [decay * factor.covariance + (1 - decay) * value for factor, value in zip(old, new, strict=True)]
        prepared.append(prepare(backend, averages, damping, inversion))
    return tuple(pair for pair, _ in prepared), backend.xp.stack([health for _, health in prepared])
