"""Squared error."""

import numpy as np

from rbench.backend import Array, Backend
from rbench.losses.base import Loss, for_every_datum
from rbench.losses.dense import DenseLoss


class SquaredError(Loss):
    """ℓ = ½ ‖z − y‖²: the normal distribution with unit covariance."""

    name = "squared_error"
    summary = "½ ‖z − y‖², a normal distribution"
    dense = DenseLoss(
        value=lambda z, y: ((z - y) ** 2).sum() / 2,
        cotangent=lambda z, y: z - y,
        mean=np.array,
        draw=lambda random, z, samples: z[:, None] - random.standard_normal((len(z), samples, z.shape[1])),
    )

    def values(self, backend: Backend, z: Array, y: Array) -> Array:
        return 0.5 * backend.xp.sum((z - y) ** 2, axis=1)

    def cotangents(self, backend: Backend, z: Array, y: Array) -> Array:
        return z - y

    def hessian_factor(self, backend: Backend, z: Array) -> Array:
        return for_every_datum(backend, backend.eye(z.shape[1]), z)

    def noise(self, generator: np.random.Generator, batch: int, samples: int, d: int) -> np.ndarray:
        return generator.standard_normal((batch, samples, d))

    def sampled_factor(self, backend: Backend, z: Array, noise: Array) -> Array:
        """Rows ε/√r with ε ~ N(0, I)."""
        return noise / noise.shape[1] ** 0.5

    def predictions(self, backend: Backend, z: Array) -> Array:
        return z
