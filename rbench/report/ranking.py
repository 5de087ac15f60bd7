"""Ranks of methods over tasks, and the test of whether they differ (Demšar 2006, JMLR 7)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rbench.errors import DataError
from rbench.figures import TRAINING, judging
from rbench.report.noise import BEST, CONFIDENCE, WITHIN_NOISE
from rbench.report.problems import By, Problems, place_tables, problems
from rbench.report.table import Format, raw
from rbench.report.value import Value
from rbench.run.record import Record

FEWEST_TASKS, FEWEST_METHODS = 5, 3
"""With fewer tasks the distribution that the test assumes is a poor approximation, and it finds next to nothing."""

CRITERIA: tuple[By, ...] = ("test figure", "seconds to target")


@dataclass(frozen=True)
class Ranking:
    """Ranks of methods on the tasks of one place.

    Attributes:
        problems: the ranked problems.
        ranks: a row per method, a column per task; 1 is best, ties share the mean of their ranks. Methods are ranked by
            medians over seeds; a failure or miss counts as infinite.
        mean: mean rank of each method, best first.
        p: of Friedman's test that all methods are alike; nan where there is no test.
        critical: the difference of mean ranks from which two methods differ, by Nemenyi's test; nan without a test.
    """

    problems: Problems
    ranks: pd.DataFrame
    mean: "pd.Series[float]"
    p: float
    critical: float

    @property
    def differ(self) -> bool:
        """Whether Friedman's test finds that methods differ."""
        return self.p < 1 - CONFIDENCE

    @property
    def marks(self) -> list[str]:
        """`*` for the best method, `~` for those not shown to differ from it; nothing without a test."""
        if math.isnan(self.p):
            return [""] * len(self.mean)
        differ = (self.mean - self.mean.iloc[0] >= self.critical) & self.differ
        return [BEST, *("" if apart else WITHIN_NOISE for apart in differ.iloc[1:])]


def ranking(found: Problems) -> Ranking:
    """Ranks of the methods of a place.

    With N tasks and k methods the critical difference is q √(k (k + 1) / 6N), q the 95 % quantile of the range of k
    normal variables over √2. Without five tasks and three methods there is no test.
    """
    from scipy import stats

    medians = found.scores.groupby(level="task", sort=False).median()
    ranks = pd.DataFrame(stats.rankdata(medians, axis=1), index=medians.index, columns=medians.columns).T
    mean = ranks.mean(axis=1).sort_values(kind="stable")  # columns are in order of name, so ties are too
    k, n = ranks.shape
    if n < FEWEST_TASKS or k < FEWEST_METHODS:
        return Ranking(found, ranks.loc[mean.index], mean, np.nan, np.nan)
    alike = bool((ranks.to_numpy() == ranks.to_numpy()[0]).all())
    p = 1.0 if alike else float(stats.friedmanchisquare(*ranks.to_numpy()).pvalue)
    quantile = stats.studentized_range.ppf(CONFIDENCE, k, np.inf) / math.sqrt(2)
    return Ranking(found, ranks.loc[mean.index], mean, p, float(quantile * math.sqrt(k * (k + 1) / (6 * n))))


def render_ranking(records: Sequence[Record], form: Format) -> str:
    """Tables of ranks by test figure and by seconds to target, with notes except in `csv` and `json`.

    Raises:
        DataError: there is nothing to rank.
    """
    found = [ranking(one) for by in CRITERIA for one in problems(records, by)]
    if not found:
        raise DataError("nothing to rank: no method was run on every task, or none ended ok; rank fewer runs at a time")
    if form == "json" or form == "csv":
        return raw([line for one in found for line in _lines(one)], form)
    return place_tables([(one.problems, _table(one), _notes(one)) for one in found], form)


def _table(found: Ranking) -> pd.DataFrame:
    """Mean ranks with their marks, and the rank on each task, in words."""
    table = found.ranks.map("{:g}".format)
    means = [Value(f"{mean:.2f}", mark=mark) for mark, mean in zip(found.marks, found.mean, strict=True)]
    table.insert(0, f"mean rank by {found.problems.by}", means)
    return table


def _lines(found: Ranking) -> list[dict[str, object]]:
    """One for each method on each task."""
    test = {"friedman_p": found.p, "critical_difference": found.critical}
    return [
        {"by": found.problems.by, **found.problems.place, "method": method, "mean_rank": mean}
        | {"task": task, "rank": rank, **test}
        for (method, ranks), mean in zip(found.ranks.to_dict("index").items(), found.mean, strict=True)
        for task, rank in ranks.items()
    ]


def explained(found: Ranking) -> str:
    """What is ranked, in words."""
    judges = ", or else ".join(figure.title.removeprefix("test ") for figure in judging(TRAINING))
    what = f"test {judges}" if found.problems.by == "test figure" else "the training seconds to the target"
    ranks = (
        f"Ranks of medians over seeds of {what}; a method that failed on a task, or missed its target, is last there"
    )
    return f"{ranks}; ties share the mean of their ranks."


def _notes(found: Ranking) -> list[str]:
    said = verdict(found)
    if found.differ:
        said += (
            f" ~ is not shown to differ from the best: its mean rank is less than {found.critical:.2f} away, "
            "Nemenyi's critical difference at 5 % (Demšar 2006)."
        )
    return [explained(found), said]


def verdict(found: Ranking) -> str:
    """What Friedman's test says."""
    k, n = found.ranks.shape
    if math.isnan(found.p):
        return (
            f"No test: {n} tasks and {k} methods; it takes {FEWEST_TASKS} and {FEWEST_METHODS}. The order may well be "
            "chance."
        )
    test = f"Friedman's test over {n} tasks: p = {found.p:.2g}"
    return f"{test}." if found.differ else f"{test}, no method is shown to differ from another."
