"""Noise over seeds: intervals of medians, ratios of paired seeds, and which differences lie within noise."""

from collections.abc import Mapping, Sequence
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
ALL_RANGE = 5
"""Up to this many values have their range as the interval of their median."""

RESAMPLES = 9999

IDENTICAL = 1e-9
"""Logarithms of ratios that differ by less count as equal: the t-test cannot judge noise that small."""


def median_interval(values: ArrayLike) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the median of n values, some of which may be infinite.

    Of n ≤ 5 values it is their range: more than 2.5 % of all resamples have an extreme as their median. The range of
    independent values holds the median of their distribution with probability 1 − 2^(1−n).
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered[0] == ordered[-1]:
        return float(ordered[0]), float(ordered[-1])
    below, above = _middles(len(ordered))
    medians = (ordered[below] + ordered[above]) / 2
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(medians, ends, method="inverted_cdf")
    return float(low), float(high)


@cache
def _middles(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ranks of the two values whose mean is a resample's median, for each resample; equal where `count` is odd.

    The resamples are those of `scipy.stats.bootstrap` with `rng=0`. They depend only on the number of values, so the
    intervals of a table share them.
    """
    drawn = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    middles = (count - 1) // 2, count // 2
    drawn.partition(middles, axis=1)
    return drawn[:, middles[0]].copy(), drawn[:, middles[1]].copy()


class Ratio(NamedTuple):
    """The ratio of paired figures.

    Attributes:
        middle: geometric mean of the ratios.
        low: lower end of its 95 % interval, nan for one pair.
        high: upper end, nan for one pair.
        p: probability of a mean this far from 1 if there is no difference, nan for one pair.
    """

    middle: float
    low: float
    high: float
    p: float


def paired_ratio(first: ArrayLike, second: ArrayLike) -> Ratio:
    """The ratio of second to first over n pairs, by the paired t-test of their logarithms.

    It is valid for as few as two pairs where the logarithms' differences are about normal. Equal figures have ratio 1,
    even 0 or infinite ones. A ratio of 0 or ∞ counts as a difference only where every pair has it.

    Args:
        first: figures (n,), not negative.
        second: figures (n,), not negative, in the same order.
    """
    from scipy import special

    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(a == b, 0.0, np.log(b) - np.log(a))
        middle = float(np.exp(np.mean(logs)))
    if len(logs) == 1:
        return Ratio(middle, np.nan, np.nan, np.nan)
    if np.all(logs == logs[0]) or np.ptp(logs) < IDENTICAL:
        return Ratio(middle, middle, middle, float(abs(logs[0]) < IDENTICAL))
    if not np.all(np.isfinite(logs)):
        return Ratio(middle, 0.0, np.inf, 1.0)
    degrees = len(logs) - 1
    error = np.sqrt(np.mean((logs - np.mean(logs)) ** 2) * (len(logs) / degrees) / len(logs))
    t = np.mean(logs) / error
    ends = (t + special.stdtrit(degrees, ((1 - CONFIDENCE) / 2, 1 - (1 - CONFIDENCE) / 2))) * error
    low, high = (float(np.exp(end)) for end in ends)
    p = float(2 * special.stdtr(degrees, -abs(t)))
    return Ratio(middle, low, high, p)


BEST, WITHIN_NOISE = "*", "~"


def marks(figures: "Sequence[Mapping[int, float] | pd.Series[Any]]", *, higher: bool) -> list[str]:
    """Which of several methods is best in a figure, and which are not shown to differ from it.

    Each method is compared with the one of the best median by `paired_ratio` over the seeds that both have. Of the
    methods that are called different at most 5 % are expected to be so by chance (Benjamini and Hochberg 1995).

    Args:
        figures: of each method, by seed; empty for a method without any.
        higher: whether more is better.

    Returns:
        `*` for the best, `~` for those not shown to differ, else an empty text; all are empty where fewer than two
        methods have two seeds.
    """
    known = [dict(values) for values in figures]
    several = [index for index, values in enumerate(known) if len(values) >= 2]
    if len(several) < 2:
        return [""] * len(known)
    best = min(several, key=lambda index: median(known[index].values()) * (-1 if higher else 1))
    p: dict[int, float] = {}
    for index, values in enumerate(known):
        both = [seed for seed in values if seed in known[best]]
        if index != best and len(both) >= 2:
            p[index] = paired_ratio([known[best][seed] for seed in both], [values[seed] for seed in both]).p
    differ = _differ(p)
    like_best = ["" if index in differ or not values else WITHIN_NOISE for index, values in enumerate(known)]
    return [BEST if index == best else mark for index, mark in enumerate(like_best)]


def _differ(p: dict[int, float]) -> set[int]:
    """The indices that differ, given the p of each."""
    if min(p.values(), default=1.0) >= 1 - CONFIDENCE:  # adjustment makes none smaller
        return set()
    from scipy import stats

    adjusted = stats.false_discovery_control(list(p.values()))
    return {index for index, value in zip(p, adjusted, strict=True) if value < 1 - CONFIDENCE}
