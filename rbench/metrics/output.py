"""Metrics on the output space: for each datum a factor R (rank, d) with metric RᵀR."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from rbench.arrays import read
from rbench.backend import Array, Backend
from rbench.errors import DtypeError, MetricError
from rbench.losses import Loss
from rbench.losses.base import for_every_datum
from rbench.losses.dense import Numbers
from rbench.names import shown
from rbench.plugins import plugins

MOST_SAMPLES = 2**31 - 1
"""Most samples per datum."""


@dataclass(frozen=True)
class OutputFactor:
    """The metric factor at the outputs of a batch: rows of its own, or the loss cotangents rescaled; the other is None.

    Attributes:
        rows: (batch, rank, d).
        scale: (batch,), where row b is scale[b] · ∂ℓ/∂z_b, which needs no pullback beyond the gradient's.
    """

    rows: Array | None = None
    scale: Array | None = None


class OutputMetric(ABC):
    """A metric on the output space, chosen by name or given as a matrix.

    Register one with the `rbench_output_metrics` hook. For each datum it is RᵀR: `factor` computes R for a batch on any
    backend, and `dense` the metric independently; the equivalence gate compares them.

    Attributes:
        name: the name by which users choose the metric.
        summary: what it is in a few words, for `rbench list` and the documentation.
        samples: how many samples it draws per datum; 0 where it draws none.
        rescales: whether its rows are rescaled loss cotangents.
    """

    name: str
    summary: str
    samples: int = 0
    rescales: bool = False

    def check(self, loss: Loss) -> None:  # noqa: B027 - most metrics are defined for every loss
        """Raise `MetricError` where the metric is not defined for the loss."""

    @abstractmethod
    def rank(self, loss: Loss, d: int) -> int:
        """Rows of the factor for each datum, given d outputs."""

    @abstractmethod
    def factor(self, backend: Backend, loss: Loss, z: Array, y: Array, noise: Array | None) -> OutputFactor:
        """The factor at outputs z (batch, d), targets y, and the loss's noise where the metric draws samples."""

    @abstractmethod
    def dense(self, loss: Loss, z: Numbers, y: Any, drawn: Any) -> Numbers:
        """RᵀR (d, d) of one datum in plain NumPy, float64, from `loss.dense`; it shares no code with `factor`.

        The datum has outputs z (d,) and target y; `drawn` are targets (samples, …) from `loss.dense.draw` where the
        metric draws samples, else None.
        """

    def with_samples(self, samples: int) -> "OutputMetric":
        """The metric with this number of samples per datum; itself if it draws none."""
        return self


@dataclass(frozen=True)
class Identity(OutputMetric):
    """R = I."""

    name = "identity"
    summary = "the Euclidean metric"

    def rank(self, loss: Loss, d: int) -> int:
        return d

    def factor(self, backend: Backend, loss: Loss, z: Array, y: Array, noise: Array | None) -> OutputFactor:
        return OutputFactor(for_every_datum(backend, backend.eye(z.shape[1]), z))

    def dense(self, loss: Loss, z: Numbers, y: Any, drawn: Any) -> Numbers:
        return np.eye(len(z))


@dataclass(frozen=True)
class GGN(OutputMetric):
    """RᵀR = ∂²ℓ/∂z², the generalised Gauss-Newton metric (Schraudolph 2002); for these losses the Fisher metric."""

    name = "ggn"
    summary = "the loss's Hessian"

    def rank(self, loss: Loss, d: int) -> int:
        return loss.hessian_rank(d)

    def factor(self, backend: Backend, loss: Loss, z: Array, y: Array, noise: Array | None) -> OutputFactor:
        return OutputFactor(loss.hessian_factor(backend, z))

    def dense(self, loss: Loss, z: Numbers, y: Any, drawn: Any) -> Numbers:
        return loss.dense.hessian(z, y)


@dataclass(frozen=True)
class SampledGGN(OutputMetric):
    """Rows ∂ℓ(z, ŷ)/∂z / √r for r targets ŷ drawn from the model: an unbiased estimate of `ggn` (MC Fisher).

    Attributes:
        samples: r, from 1 to `MOST_SAMPLES`.
    """

    samples: int = 1
    name = "ggn_mc"
    summary = "the loss's Hessian, sampled"

    def __post_init__(self) -> None:
        integer = isinstance(self.samples, Integral) and not isinstance(self.samples, bool)
        if not integer or not 1 <= self.samples <= MOST_SAMPLES:
            raise MetricError(
                f"output metric 'ggn_mc': rank is {shown(self.samples)}; give an integer of at least 1, and of at most "
                f"{MOST_SAMPLES}"
            )

    def rank(self, loss: Loss, d: int) -> int:
        return self.samples

    def factor(self, backend: Backend, loss: Loss, z: Array, y: Array, noise: Array | None) -> OutputFactor:
        return OutputFactor(loss.sampled_factor(backend, z, noise))

    def dense(self, loss: Loss, z: Numbers, y: Any, drawn: Any) -> Numbers:
        rows = np.stack([loss.dense.cotangent(z, target) for target in drawn])
        return np.asarray(rows.T @ rows / len(rows))

    def with_samples(self, samples: int) -> OutputMetric:
        return SampledGGN(samples)


@dataclass(frozen=True)
class TrueVsRest(OutputMetric):
    """Row √(p_y/(1−p_y)) (p − e_y): a lower bound of `ggn`, equal to it for two classes.

    It is the Fisher metric of "the label or another class".
    """

    name = "true_vs_rest"
    summary = "the label or another class, one row per datum"
    rescales = True

    def check(self, loss: Loss) -> None:
        if not loss.integer_targets:
            raise MetricError(f"output metric 'true_vs_rest' needs class labels, but the loss is {loss.name!r}")

    def rank(self, loss: Loss, d: int) -> int:
        return 1

    def factor(self, backend: Backend, loss: Loss, z: Array, y: Array, noise: Array | None) -> OutputFactor:
        return OutputFactor(scale=loss.true_vs_rest_scale(backend, z, y))

    def dense(self, loss: Loss, z: Numbers, y: Any, drawn: Any) -> Numbers:
        row = loss.dense.cotangent(z, y)  # −row[y] = 1 − p_y stays accurate as p_y → 1
        return np.asarray(loss.dense.mean(z)[y] / -row[y] * np.outer(row, row))


@dataclass(frozen=True)
class EmpiricalFisher(OutputMetric):
    """Row ∂ℓ/∂z at the data's own target; not the Fisher metric (Kunstner et al. 2019)."""

    name = "empirical_fisher"
    summary = "the gradient's outer product, one row per datum"
    rescales = True

    def rank(self, loss: Loss, d: int) -> int:
        return 1

    def factor(self, backend: Backend, loss: Loss, z: Array, y: Array, noise: Array | None) -> OutputFactor:
        return OutputFactor(scale=backend.xp.ones_like(z[:, 0]))

    def dense(self, loss: Loss, z: Numbers, y: Any, drawn: Any) -> Numbers:
        row = loss.dense.cotangent(z, y)
        return np.outer(row, row)


@dataclass(frozen=True)
class Fixed(OutputMetric):
    """A positive definite matrix given by the user, the same for every datum; R is its upper Cholesky factor.

    Attributes:
        factor_rows: R (d, d), as nested tuples so that the metric can be hashed.
    """

    factor_rows: tuple[tuple[float, ...], ...]
    name = "fixed"
    summary = "a matrix"

    @classmethod
    def of(cls, matrix: Any) -> "Fixed":
        """Factor a (d, d) matrix.

        Raises:
            MetricError: not square, not symmetric, or not positive definite; the message holds the smallest eigenvalue.
        """
        try:
            came = read(matrix, "output metric")
        except DtypeError as error:
            raise MetricError(f"{error}; an output metric is a name or a (d, d) matrix of real numbers") from None
        if came.dtype.kind == "b":
            raise MetricError(f"output metric: {shown(matrix)} holds booleans; give a (d, d) matrix of real numbers")
        values = came.astype(np.float64)
        if values.ndim != 2 or not values.size or values.shape[0] != values.shape[1] or not np.isfinite(values).all():
            raise MetricError(f"output metric: give a finite (d, d) matrix, not one of shape {values.shape}")
        if np.abs(values - values.T).max() > 1e-6 * np.abs(values).max():
            raise MetricError("output metric: the matrix is not symmetric; give (A + Aᵀ)/2 if that is meant")
        smallest = float(np.linalg.eigvalsh(values)[0])
        if smallest <= len(values) * np.finfo(np.float64).eps * np.abs(values).max():
            raise MetricError(
                f"output metric: the matrix is not positive definite, its smallest eigenvalue is {smallest:.6g}"
            )
        upper = np.linalg.cholesky(values).T
        return cls(tuple(tuple(map(float, row)) for row in upper))

    def rank(self, loss: Loss, d: int) -> int:
        return d

    def factor(self, backend: Backend, loss: Loss, z: Array, y: Array, noise: Array | None) -> OutputFactor:
        if len(self.factor_rows) != z.shape[1]:
            raise MetricError(
                f"output metric: the matrix is {len(self.factor_rows)} by {len(self.factor_rows)}, "
                f"but the network has {z.shape[1]} outputs"
            )
        factor = np.asarray(self.factor_rows)
        if np.abs(factor).max() > np.finfo(backend.dtype).max:
            raise MetricError(f"output metric: the matrix has entries that {backend.dtype} cannot hold; scale it")
        return OutputFactor(for_every_datum(backend, backend.asarray(factor), z))

    def dense(self, loss: Loss, z: Numbers, y: Any, drawn: Any) -> Numbers:
        rows = np.asarray(self.factor_rows)
        return np.asarray(rows.T @ rows)


def get_output_metric(metric: str | Any, samples: int = 1) -> OutputMetric:
    """The output metric of a registered name, or given as a positive definite (d, d) matrix.

    `samples` are those per datum, for a metric that draws them.

    Raises:
        MetricError: no metric has that name, or the matrix is not positive definite.
    """
    if not isinstance(metric, str):
        return Fixed.of(metric)
    try:
        named: OutputMetric = plugins().find("output_metrics", metric, MetricError)
    except MetricError as error:
        raise MetricError(f"{error}; or give a matrix") from None
    SampledGGN(samples)  # checks the number, whatever the metric
    return named.with_samples(samples)
