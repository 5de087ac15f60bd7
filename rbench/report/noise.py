"""What seeds say of a figure: an interval of its median, ratios of paired seeds, and what lies within noise."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
ALL_RANGE = 5
"""So many values or fewer have their range as the interval of their median."""

IDENTICAL = 1e-9
"""Logarithms of ratios that differ by less are one number: the t-test knows no noise that small."""


def median_interval(values: ArrayLike) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the median of n values, some of which may be infinite.

    Of n ≤ 5 values it is their range: more than 2.5 % of all resamples have an extreme as their median. The range of
    independent values holds the median of their distribution with probability 1 − 2^(1−n).
    """
    from scipy import stats

    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered[0] == ordered[-1]:
        return float(ordered[0]), float(ordered[-1])
    with np.errstate(invalid="ignore"):  # SciPy also takes the standard error, which infinite values do not have
        found = stats.bootstrap(
            (ordered,), np.median, confidence_level=CONFIDENCE, method="percentile", rng=np.random.default_rng(0)
        )
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(found.bootstrap_distribution, ends, method="inverted_cdf")
    return float(low), float(high)


class Ratio(NamedTuple):
    """The ratio of paired figures.

    Attributes:
        middle: geometric mean of the ratios.
        low: lower end of its 95 % interval, nan for one pair.
        high: upper end, nan for one pair.
        p: how likely a mean so far from 1 is where there is no difference, nan for one pair.
    """

    middle: float
    low: float
    high: float
    p: float


def paired_ratio(first: ArrayLike, second: ArrayLike) -> Ratio:
    """The ratio of second to first over n pairs, by the paired t-test of their logarithms.

    It is valid for as few as two pairs where the logarithms' differences are about normal. Equal figures have ratio 1,
    be they 0 or infinite. A ratio of 0 or ∞ is taken for a difference where every pair has it, otherwise for none.

    Args:
        first: figures (n,), not negative.
        second: figures (n,), not negative, in the same order.
    """
    from scipy import stats

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
    found = stats.ttest_1samp(logs, 0.0)
    interval = found.confidence_interval(CONFIDENCE)
    return Ratio(middle, float(np.exp(interval.low)), float(np.exp(interval.high)), float(found.pvalue))


BEST, WITHIN_NOISE = "*", "~"


def marks(figures: Sequence["pd.Series[Any]"], *, higher: bool) -> list[str]:
    """Which of several methods is best in a figure, and which are not shown to differ from it.

    Each method is compared with the one of the best median by `paired_ratio` over the seeds that both have. Of the
    methods that are called different at most 5 % are expected to be so by chance (Benjamini and Hochberg 1995).

    Args:
        figures: of each method, by seed; methods that have none are empty.
        higher: whether more is better.

    Returns:
        `*` for the best, `~` for those not shown to differ, and else nothing; nothing at all where fewer than two
        methods have two seeds.
    """
    from scipy import stats

    known = [index for index, values in enumerate(figures) if len(values) >= 2]
    if len(known) < 2:
        return [""] * len(figures)
    best = min(known, key=lambda index: figures[index].median() * (-1 if higher else 1))
    p: dict[int, float] = {}
    for index, values in enumerate(figures):
        both = values.index.intersection(figures[best].index)
        if index != best and len(both) >= 2:
            p[index] = paired_ratio(figures[best][both], values[both]).p
    adjusted = stats.false_discovery_control(list(p.values())) if p else ()
    differ = {index for index, value in zip(p, adjusted, strict=True) if value < 1 - CONFIDENCE}
    return [
        BEST if index == best else "" if index in differ or values.empty else WITHIN_NOISE
        for index, values in enumerate(figures)
    ]
