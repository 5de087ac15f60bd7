"""Softmax cross-entropy."""

from typing import Any

import numpy as np

from rbench.backend import Array, Backend
from rbench.losses.base import Loss, one_hot
from rbench.losses.dense import DenseLoss, Numbers


def _dense_mean(z: Numbers) -> Numbers:
    weights = np.exp(z - z.max())
    return np.asarray(weights / weights.sum())


def _dense_cotangent(z: Numbers, y: Any) -> Numbers:
    """p − e_y; the label's entry is minus the sum of the others, which stays accurate as p_y → 1."""
    others = _dense_mean(z) * (np.arange(len(z)) != y)
    return np.asarray(others - others.sum() * np.eye(len(z))[y])


def _dense_draw(random: np.random.Generator, z: Numbers, samples: int) -> Numbers:
    """Labels by inversion: how many cumulative probabilities do not exceed a uniform number."""
    pairs = zip(z, random.random((len(z), samples)), strict=True)
    return np.stack([np.searchsorted(np.cumsum(_dense_mean(row)), uniform, side="right") for row, uniform in pairs])


class CrossEntropy(Loss):
    """ℓ = −log p_y with p = softmax(z), y a class label: the categorical distribution."""

    name = "cross_entropy"
    summary = "−log p_y with p = softmax(z), for class labels"
    dense = DenseLoss(
        value=lambda z, y: np.log(np.exp(z).sum()) - z[y],
        cotangent=_dense_cotangent,
        mean=_dense_mean,
        draw=_dense_draw,
    )
    integer_targets = True

    def values(self, backend: Backend, z: Array, y: Array) -> Array:
        return self.values_and_cotangents(backend, z, y)[0]

    def cotangents(self, backend: Backend, z: Array, y: Array) -> Array:
        return self.values_and_cotangents(backend, z, y)[1]

    def values_and_cotangents(self, backend: Backend, z: Array, y: Array) -> tuple[Array, Array]:
        """The cotangent is p − e_y; its label's entry is minus the sum of the others, accurate as p_y → 1."""
        xp = backend.xp
        shifted = z - xp.max(z, axis=1, keepdims=True)
        weights = xp.exp(shifted)
        total = xp.sum(weights, axis=1)
        hit = one_hot(backend, y, z.shape[1])
        zero = xp.zeros_like(z)
        others = xp.where(hit, zero, weights / total[:, None])
        values = xp.log(total) - xp.sum(xp.where(hit, shifted, zero), axis=1)
        return values, xp.where(hit, -xp.sum(others, axis=1)[:, None], others)

    def hessian_factor(self, backend: Backend, z: Array) -> Array:
        """R = H diag(√p) with d − 1 rows: RᵀR = diag(p) − ppᵀ, which is singular, so that Cholesky would fail.

        With q = √p, a unit vector, diag(p) − ppᵀ = diag(q) (I − qqᵀ) diag(q). The reflection that takes q to −e_d has
        rows H_i = e_i − q_i (q + e_d) / (1 + q_d); the first d − 1 span what is orthogonal to q, so HᵀH = I − qqᵀ.
        """
        xp = backend.xp
        d = z.shape[1]
        if d == 1:  # one class: nothing to learn
            return xp.zeros_like(z)[:, None, :]
        q = xp.sqrt(self.predictions(backend, z))
        eye = backend.eye(d)
        mirror = (q + eye[None, d - 1, :]) / (1 + q[:, d - 1 :])
        return (eye[None, : d - 1, :] - q[:, : d - 1, None] * mirror[:, None, :]) * q[:, None, :]

    def hessian_rank(self, d: int) -> int:
        return max(d - 1, 1)

    def noise(self, generator: np.random.Generator, batch: int, samples: int, d: int) -> np.ndarray:
        return generator.random((batch, samples))

    def sampled_factor(self, backend: Backend, z: Array, noise: Array) -> Array:
        """Rows (p − e_ŷ)/√r; the label counts which of the first d − 1 cumulative probabilities the noise reaches."""
        xp = backend.xp
        p = self.predictions(backend, z)
        passed = xp.cumulative_sum(p, axis=1)[:, None, :-1] <= noise[:, :, None]
        label = xp.sum(xp.astype(passed, xp.int64), axis=2)
        hit = xp.astype(one_hot(backend, label, z.shape[1]), z.dtype)
        return (p[:, None, :] - hit) / noise.shape[1] ** 0.5

    def predictions(self, backend: Backend, z: Array) -> Array:
        xp = backend.xp
        weights = xp.exp(z - xp.max(z, axis=1, keepdims=True))
        return weights / xp.sum(weights, axis=1, keepdims=True)

    def true_vs_rest_scale(self, backend: Backend, z: Array, y: Array) -> Array:
        """√(p_y / (1 − p_y)); 1 − p_y is the sum of the other probabilities, kept above zero.

        The row s (p − e_y) tends to zero like √(1 − p_y), so where the sum underflows the row is zero as it should be.
        """
        xp = backend.xp
        p = self.predictions(backend, z)
        hit = one_hot(backend, y, z.shape[1])
        # Both are sums of probabilities: a difference may be negative, since a compiler that computes p twice may round
        # it differently.
        own, rest = (xp.sum(xp.where(chosen, p, xp.zeros_like(p)), axis=1) for chosen in (hit, ~hit))
        return xp.sqrt(own / xp.maximum(rest, xp.full_like(rest, float(xp.finfo(z.dtype).smallest_normal))))
