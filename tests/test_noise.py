"""Intervals, paired ratios and marks against enumerations, textbook formulas and simulated methods."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rbench.report.noise import ALL_RANGE, marks, median_interval, paired_ratio

INF = math.inf


def exact_interval(values):
    """The percentile interval over all nⁿ resamples, none drawn."""
    medians = np.sort([np.median(resample) for resample in itertools.product(values, repeat=len(values))])
    return medians[math.ceil(0.025 * len(medians)) - 1], medians[math.ceil(0.975 * len(medians)) - 1]


@pytest.mark.parametrize("count", range(1, 7))
def test_the_interval_is_that_over_all_resamples(count, rng):
    values = rng.normal(size=count)
    found = median_interval(values)
    assert found == pytest.approx(exact_interval(values))
    assert (found == (values.min(), values.max())) == (count <= ALL_RANGE)


def test_the_interval_is_scipys(rng):
    values = np.sort(rng.normal(size=25))
    found = stats.bootstrap((values,), np.median, method="percentile", rng=np.random.default_rng(0))
    assert median_interval(values) == pytest.approx(tuple(found.confidence_interval))


def test_the_interval_knows_no_order_and_is_the_same_each_time(rng):
    values = rng.normal(size=12)
    assert median_interval(values) == median_interval(values[::-1]) == median_interval(values)


@pytest.mark.parametrize(
    ("values", "interval"),
    [
        ([1, 2, INF], (1, INF)),
        ([INF, INF], (INF, INF)),
        ([1, 2, 3, INF], (1, INF)),
        ([3, 3, 3], (3, 3)),
    ],
)
def test_the_interval_of_a_target_that_is_missed(values, interval):
    assert median_interval(values) == interval


def test_one_miss_of_many_does_not_matter_how_far():
    values = list(range(1, 20))
    assert median_interval([*values, INF]) == median_interval([*values, 1e9])
    assert median_interval([*values, INF])[1] < 20


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_paired_ratio_is_that_of_the_t_distribution(count, rng):
    a = np.exp(rng.normal(size=count))
    b = a * 1.7 * np.exp(0.2 * rng.normal(size=count))
    logs = np.log(b / a)
    half = stats.t.ppf(0.975, count - 1) * logs.std(ddof=1) / math.sqrt(count)
    found = paired_ratio(a, b)
    assert found[:3] == pytest.approx(np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]))
    assert found.p == pytest.approx(stats.ttest_rel(np.log(b), np.log(a)).pvalue)
    assert (found.p < 0.05) == (found.low > 1 or found.high < 1)


def test_the_other_way_round_is_the_inverse(rng):
    a, b = np.exp(rng.normal(size=(2, 5)))
    one, other = paired_ratio(a, b), paired_ratio(b, a)
    assert (one.middle, one.low, one.high, one.p) == pytest.approx(
        (1 / other.middle, 1 / other.high, 1 / other.low, other.p)
    )


@pytest.mark.parametrize(
    ("a", "b", "middle", "low", "high", "p"),
    [
        ([1, 2, 3], [1, 2, 3], 1, 1, 1, 1),
        ([1, 2, 3], [2, 4, 6], 2, 2, 2, 0),
        ([0.1, 0.2, 0.7], [0.3, 0.6, 2.1], 3, 3, 3, 0),
        ([0, 0, 1], [0, 0, 1], 1, 1, 1, 1),
        ([INF, INF], [INF, INF], 1, 1, 1, 1),
        ([1, 2], [INF, INF], INF, INF, INF, 0),
        ([INF, INF], [1, 2], 0, 0, 0, 0),
        ([0, 0], [1, 2], INF, INF, INF, 0),
        ([1, 2], [1, INF], INF, 0, INF, 1),
        ([1, INF], [INF, 1], math.nan, 0, INF, 1),
        ([2], [3], 1.5, math.nan, math.nan, math.nan),
        ([2], [INF], INF, math.nan, math.nan, math.nan),
    ],
)
def test_ratios_without_noise_or_without_end(a, b, middle, low, high, p):
    assert tuple(paired_ratio(a, b)) == pytest.approx((middle, low, high, p), nan_ok=True)


def series(values, first=0):
    return pd.Series(values, index=range(first, first + len(values)), dtype=float)


SPREAD = np.array([1.0, 1.3, 1.1, 1.2])


@pytest.mark.parametrize(
    ("others", "higher", "expected"),
    [
        ([2 * SPREAD + [0, 0.1, 0, 0.1]], False, ["*", ""]),
        ([2 * SPREAD + [0, 0.1, 0, 0.1]], True, ["", "*"]),
        ([SPREAD * [1.1, 0.95, 1.2, 0.97]], False, ["*", "~"]),
        ([SPREAD], False, ["*", "~"]),
        ([3 * SPREAD[:1]], False, ["", ""]),
        ([2 * SPREAD, 3 * SPREAD[:1]], False, ["*", "", "~"]),
        ([2 * SPREAD, 0.1 * SPREAD[:1]], False, ["*", "", "~"]),
        ([2 * SPREAD, []], False, ["*", "", ""]),
        ([INF * SPREAD], False, ["*", ""]),
        ([[5, INF, 5, 5]], False, ["*", "~"]),
    ],
)
def test_marks(others, higher, expected):
    assert marks([series(values) for values in (SPREAD, *others)], higher=higher) == expected


def test_seeds_are_paired():
    """What all methods share at a seed, hard data or a slow machine, does not hide a difference; nor do other seeds."""
    hard = np.array([1.0, 10.0, 100.0])
    assert marks([series(hard), series(hard * [1.1, 1.12, 1.11])], higher=False) == ["*", ""]
    assert marks([series(hard), series((hard * [1.1, 1.12, 1.11])[::-1])], higher=False) == ["*", "~"]
    assert marks([series(hard), series(hard * [1.1, 1.12, 1.11], first=3)], higher=False) == ["*", "~"]


def test_equal_methods_are_seldom_called_different():
    """The best of eight that are alike differs from some other in one table of twenty, or not many more."""
    tables = np.exp(np.random.default_rng(3).normal(size=(400, 8, 3)))
    called = ["" in marks([series(row) for row in table], higher=False) for table in tables]
    assert np.mean(called) < 0.12
