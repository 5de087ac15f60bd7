"""Cross-entropy of independent Bernoulli outputs."""

import numpy as np

from rbench.arrays import Bounds
from rbench.backend import Array, Backend
from rbench.losses.base import Loss
from rbench.losses.dense import DenseLoss, Numbers
from rbench.modules.pointwise import sigmoid


def _dense_mean(z: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-z)))


class BinaryCrossEntropy(Loss):
    """ℓ = Σ_i log(1 + e^{z_i}) − y_i z_i with y in [0, 1]: independent Bernoulli outputs of probability sigmoid(z)."""

    name = "binary_cross_entropy"
    summary = "Σ log(1 + exp z) − y z for y from 0 to 1, independent Bernoulli outputs"
    dense = DenseLoss(
        value=lambda z, y: (np.log(1 + np.exp(z)) - y * z).sum(),
        cotangent=lambda z, y: _dense_mean(z) - y,
        mean=_dense_mean,
        draw=lambda random, z, samples: random.random((len(z), samples, z.shape[1])) < _dense_mean(z)[:, None],
    )
    bounds = Bounds(0, 1, "a target of loss 'binary_cross_entropy' is a probability, from 0 to 1")

    def values(self, backend: Backend, z: Array, y: Array) -> Array:
        xp = backend.xp
        softplus = xp.maximum(z, xp.zeros_like(z)) + xp.log1p(xp.exp(-xp.abs(z)))
        return xp.sum(softplus - y * z, axis=1)

    def cotangents(self, backend: Backend, z: Array, y: Array) -> Array:
        return self.predictions(backend, z) - y

    def hessian_factor(self, backend: Backend, z: Array) -> Array:
        """R = diag √(p (1 − p)), as √(e⁻|ᶻ|) / (1 + e⁻|ᶻ|), which stays accurate as p tends to 0 or 1."""
        xp = backend.xp
        half = xp.exp(-0.5 * xp.abs(z))
        return (half / (1 + half * half))[:, :, None] * backend.eye(z.shape[1])[None, :, :]

    def noise(self, generator: np.random.Generator, batch: int, samples: int, d: int) -> np.ndarray:
        return generator.random((batch, samples, d))

    def sampled_factor(self, backend: Backend, z: Array, noise: Array) -> Array:
        """Rows (p − ŷ)/√r with ŷ_i = 1 where noise is below p_i."""
        xp = backend.xp
        p = self.predictions(backend, z)[:, None, :]
        return (p - xp.astype(noise < p, z.dtype)) / noise.shape[1] ** 0.5

    def predictions(self, backend: Backend, z: Array) -> Array:
        return sigmoid(backend, z)
