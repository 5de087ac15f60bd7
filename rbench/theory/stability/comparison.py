"""Two trainings side by side, and what the theory says of the distance of their outputs at the n data of S."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rbench.errors import Skip
from rbench.theory.flow import Matrix, Vector
from rbench.theory.stability.training import Run

RANK_LOST = 1e-10
"""Share of the largest eigenvalue of a kernel below which the smallest is rounding."""

ABOVE_FLOOR = 1e-4
"""Share of the first distance of two starts down to which it is judged; below it the integrator's error shows."""


@dataclass(frozen=True)
class Comparison:
    """Two runs at the same times: f(t) of data S, and f'(t) of data S' or from another start.

    Attributes:
        times: from 0 on.
        one: of S.
        other: of S', or of S again.
        n: the size of S, which are the first of all data.
        exchanged: the datum i that S' lacks, and the i' that it has in its place; None where both are of S.
        mass: μ.
    """

    times: Vector
    one: Run
    other: Run
    n: int
    exchanged: tuple[int, int] | None
    mass: float

    @cached_property
    def changes(self) -> Matrix:
        """e = f' − f at the data of S, (times, n)."""
        found: Matrix = (self.other.residuals - self.one.residuals)[:, : self.n]
        return found

    @cached_property
    def distances(self) -> Vector:
        """‖e‖ at all times."""
        return _norms(self.changes)

    @property
    def data(self) -> list[int]:
        """Those of S and S'."""
        return [*range(self.n), *(self.exchanged or ())[1:]]

    @cached_property
    def lipschitz(self) -> float:
        """κ, the largest norm of the Jacobian of any of the data in either run."""
        return float(max(run.norms[:, self.data].max() for run in (self.one, self.other)))

    @cached_property
    def lipschitz_of_loss(self) -> float:
        """L, the largest |∂ℓ/∂f| = |f − y| of any of the data in either run."""
        return float(max(np.abs(run.residuals[:, self.data]).max() for run in (self.one, self.other)))

    @property
    def trivial_bound(self) -> float:
        """2L√n: ‖f' − f‖ ≤ ‖f' − y‖ + ‖f − y‖."""
        return 2 * self.lipschitz_of_loss * math.sqrt(self.n)

    def bound(self, rate: float) -> float:
        """2κ²L / (rate · μ√n)."""
        return 2 * self.lipschitz**2 * self.lipschitz_of_loss / (rate * self.mass * math.sqrt(self.n))

    @cached_property
    def disturbance(self) -> float:
        """The largest ‖d‖, d = (Θ'_{·i} r'_i − Θ'_{·i'} r'_{i'}) / n, the exchanged datum's part of ḟ'."""
        if self.exchanged is None:
            return 0.0
        both = list(self.exchanged)
        terms = _kernels(self.other)[:, : self.n, both] * self.other.residuals[:, None, both]
        return _largest(terms[:, :, 0] - terms[:, :, 1]) / self.n

    @cached_property
    def kernel_difference(self) -> float:
        """The largest ‖k‖, k = −(Θ' − Θ)(f − y) / n."""
        difference = (_kernels(self.other) - _kernels(self.one))[:, : self.n, : self.n]
        return _largest(np.einsum("tij,tj->ti", difference, self.one.residuals[:, : self.n])) / self.n

    @cached_property
    def eigenvalues(self) -> Matrix:
        """Those of Θ/n of both runs at the data of S, ascending, (2 · times, n)."""
        both = [_kernels(run)[:, : self.n, : self.n] / self.n for run in (self.one, self.other)]
        return np.linalg.eigvalsh(np.concatenate(both))

    @cached_property
    def rate(self) -> float:
        """ξ, the smallest eigenvalue of Θ/n along both runs.

        Raises:
            Skip: it is zero to rounding.
        """
        check_rank(self.eigenvalues)
        return float(self.eigenvalues[:, 0].min())

    @property
    def bound_a(self) -> Vector:
        """e^{−ξt}‖e(0)‖ + (1 − e^{−ξt})(max‖d‖ + max‖k‖) / ξ at all times."""
        left = np.exp(-self.rate * self.times)
        driven = (self.disturbance + self.kernel_difference) / self.rate
        found: Vector = left * self.distances[0] + (1 - left) * driven
        return found

    @property
    def bound_b(self) -> Vector:
        """e^{−ξt}(‖f(0) − y‖ + ‖f'(0) − y‖) + (1 − e^{−ξt}) max‖d‖ / ξ at all times."""
        left = np.exp(-self.rate * self.times)
        starts = sum(float(_norms(run.residuals[:1, : self.n])[0]) for run in (self.one, self.other))
        found: Vector = left * starts + (1 - left) * self.disturbance / self.rate
        return found

    def largest_share(self, bound: Vector) -> float:
        """The largest ‖e‖ / bound after the start, while ‖e‖ is above 1e-4 of what it was there."""
        above = self.distances[1:] > ABOVE_FLOOR * self.distances[0]
        return float(np.max(self.distances[1:][above] / bound[1:][above]))


def check_rank(eigenvalues: Matrix) -> None:
    """Refuse kernels, given by their eigenvalues (…, n), ascending, that have lost rank.

    Raises:
        Skip: the smallest eigenvalue is zero to rounding.
    """
    lowest, highest = float(eigenvalues[..., 0].min()), float(eigenvalues[..., -1].max())
    if lowest < RANK_LOST * highest:
        raise Skip(
            f"void: the kernel of the {eigenvalues.shape[-1]} outputs has lost rank, for the eigenvalues of Θ/n lie "
            f"between {lowest:.1e} and {highest:.1e}; so ξ = 0, and no bound is left. Take fewer data or more weights."
        )


def _kernels(run: Run) -> Matrix:
    assert run.kernels is not None
    return run.kernels


def _norms(vectors: Matrix) -> Vector:
    found: Vector = np.linalg.norm(vectors, axis=1)
    return found


def _largest(vectors: Matrix) -> float:
    return float(_norms(vectors).max())
