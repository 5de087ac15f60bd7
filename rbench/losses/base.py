"""Losses: a value, its cotangent, a factor of its Hessian, and a model distribution to sample from."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from rbench.arrays import ANY_NUMBER, Bounds
from rbench.backend import Array, Backend
from rbench.errors import MetricError
from rbench.losses.dense import DenseLoss


class Loss(ABC):
    """ℓ(z, y) for one datum, with z (batch, d) the network's outputs; E = (1/B) Σ_b ℓ(z_b, y_b).

    Each is the negative log likelihood of a distribution p(y | z) up to a constant, so that its Hessian in z (the
    GGN's) is the Fisher metric of that distribution, and does not depend on y. Register one with the `rbench_losses`
    hook.

    Attributes:
        name: the name by which users choose the loss.
        summary: its formula, for `rbench list` and the documentation.
        dense: an independent definition, with which the equivalence gate compares the loss.
        integer_targets: whether the targets y are class labels (batch,), or real numbers (batch, d).
        bounds: where real targets must lie.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    dense: ClassVar[DenseLoss]
    integer_targets: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = ANY_NUMBER

    @abstractmethod
    def values(self, backend: Backend, z: Array, y: Array) -> Array:
        """ℓ(z_b, y_b), shape (batch,)."""

    @abstractmethod
    def cotangents(self, backend: Backend, z: Array, y: Array) -> Array:
        """∂ℓ/∂z, shape (batch, d), without the 1/B of the mean."""

    def values_and_cotangents(self, backend: Backend, z: Array, y: Array) -> tuple[Array, Array]:
        """Both at once, for losses where they share work."""
        return self.values(backend, z, y), self.cotangents(backend, z, y)

    @abstractmethod
    def hessian_factor(self, backend: Backend, z: Array) -> Array:
        """R of shape (batch, hessian_rank(d), d) with RᵀR = ∂²ℓ/∂z²."""

    def hessian_rank(self, d: int) -> int:
        """Rows of the Hessian's factor, given d outputs."""
        return d

    @abstractmethod
    def noise(self, generator: np.random.Generator, batch: int, samples: int, d: int) -> np.ndarray:
        """Random float64 numbers (batch, samples, …), drawn on the host, from which `sampled_factor` makes targets."""

    @abstractmethod
    def sampled_factor(self, backend: Backend, z: Array, noise: Array) -> Array:
        """R of shape (batch, samples, d), rows ∂ℓ(z, ŷ)/∂z / √samples with ŷ ~ p(· | z), so that E[RᵀR] = ∂²ℓ/∂z²."""

    @abstractmethod
    def predictions(self, backend: Backend, z: Array) -> Array:
        """The mean of p(y | z), shape (batch, d)."""

    def true_vs_rest_scale(self, backend: Backend, z: Array, y: Array) -> Array:
        """s of shape (batch,), such that the row s ∂ℓ/∂z is the factor of the metric `true_vs_rest`.

        Raises:
            MetricError: the loss has no class labels.
        """
        raise MetricError(f"output metric 'true_vs_rest' needs class labels, but the loss is {self.name!r}")


def for_every_datum(backend: Backend, matrix: Array, z: Array) -> Array:
    """The same matrix for every datum of outputs z, (batch, *matrix.shape)."""
    return backend.xp.broadcast_to(matrix[None, :, :], (z.shape[0], *matrix.shape))


def one_hot(backend: Backend, labels: Array, d: int) -> Array:
    """Booleans (*labels.shape, d): whether each of d classes is the label."""
    classes = backend.xp.arange(d, dtype=labels.dtype, device=backend.native_device)
    return labels[..., None] == classes
