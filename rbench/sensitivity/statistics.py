"""What a sample of settings says about a method: expected best, shares with intervals, and shares of variance."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 999

BINS = 4
"""Bins of a dimension in an analysis of variance."""

Numbers: TypeAlias = NDArray[np.float64]


class Interval(NamedTuple):
    """A figure and the ends of its 95 % interval."""

    middle: float
    low: float
    high: float


def expected_best(losses: Numbers) -> Numbers:
    """The expected smallest of k losses that are drawn without replacement from N, for k = 1, …, N.

    With x₁ ≤ … ≤ x_N it is Σᵢ xᵢ C(N − i, k − 1) / C(N, k): the other k − 1 are among the N − i larger ones. The share
    of points is thus taken as it is, where Dodge et al. 2019 (EMNLP), who draw with replacement, overrate it.

    Args:
        losses: (..., N), in any order.

    Returns:
        (..., N); the first is the mean, the last the smallest.
    """
    from scipy.special import gammaln

    n = losses.shape[-1]
    k = np.arange(1, n + 1)[:, None]
    larger = n - np.arange(1, n + 1)[None, :]
    possible = larger >= k - 1
    others = np.where(possible, larger - k + 1, 0)
    logs = gammaln(larger + 1) - gammaln(k) - gammaln(others + 1)
    logs -= gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    weights = np.where(possible, np.exp(logs), 0.0)
    found: Numbers = np.sort(losses, axis=-1) @ weights.T
    return found


def points_needed(curve: Numbers, target: float) -> Any:
    """The first k at which curves of expected best (..., N) are at most a target, (...,); infinite where none is."""
    reached = curve <= target
    return np.where(reached.any(axis=-1), reached.argmax(axis=-1) + 1.0, np.inf)


def resampled(losses: Numbers) -> Numbers:
    """Bootstrap samples (RESAMPLES, N) of N losses. Even points spread less than that, so intervals are wide."""
    drawn = np.random.default_rng(0).integers(0, len(losses), (RESAMPLES, len(losses)))
    return losses[drawn]


def percentile_interval(middle: float, resamples: Numbers) -> Interval:
    """A figure with the 95 % percentile interval of its bootstrap resamples, some of which may be infinite."""
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(resamples, ends, method="inverted_cdf")
    return Interval(float(middle), float(low), float(high))


def share(count: int, of: int) -> Interval:
    """A share of independent points with Wilson's 95 % interval (Wilson 1927)."""
    from scipy import stats

    low, high = stats.binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(count / of, float(low), float(high))


def binned(values: Numbers) -> NDArray[np.int64]:
    """The bin of each of N values, by rank: as many in each as in any other, but equal values share theirs."""
    from scipy import stats

    return ((stats.rankdata(values) - 0.5) * BINS / len(values)).astype(np.int64)


def variance_share(bins: NDArray[np.int64], figures: Numbers) -> Any:
    """The share of the variance of figures that lies between bins, Var(E[y | bin]) / Var(y).

    For a dimension of the points it estimates the first-order Sobol index Var(E[y | x]) / Var(y) (Sobol 1993), too low
    by what varies within bins and too high by chance: see `null_share`.

    Args:
        bins: of each point (N,).
        figures: y, (..., N).

    Returns:
        (...,); nan where all figures are the same.
    """
    centred = figures - figures.mean(axis=-1, keepdims=True)
    member = bins == np.unique(bins)[:, None]
    between = ((centred @ member.T) ** 2 / member.sum(axis=1)).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return between / (centred**2).sum(axis=-1)


def null_share(bins: NDArray[np.int64], figures: Numbers) -> Interval:
    """The share that a dimension without effect would have: its mean, and 0 and the 95 % quantile.

    By permutation of the figures. The mean over all permutations is (b − 1) / (N − 1) for b bins.
    """
    mean = (len(np.unique(bins)) - 1) / (len(figures) - 1)
    drawn = np.random.default_rng(0).permuted(np.tile(figures, (RESAMPLES, 1)), axis=1)
    return Interval(mean, 0.0, float(np.quantile(variance_share(bins, drawn), CONFIDENCE)))
