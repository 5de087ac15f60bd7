"""Studies of sensitivity: the points of one method on one task, and what they say about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from rbench.errors import DataError
from rbench.report.frame import lines_of, located, rows
from rbench.report.problems import PLACE, check_data
from rbench.run import Record
from rbench.sensitivity import DIMENSIONS, coordinates, setting_names
from rbench.sensitivity.statistics import (
    BINS,
    Interval,
    Numbers,
    binned,
    expected_best,
    null_share,
    percentile_interval,
    points_needed,
    resampled,
    share,
    variance_share,
)
from rbench.train.cell import configured

GOOD = 1.25
"""A loss within this many times the best is good."""

NEAR = 1.1
"""A loss within this many times the best of all methods counts as having found it."""

FEWEST = 2 * BINS
"""Points that an analysis of variance needs."""

COMPETITION = ["task", "budget", *PLACE]


@dataclass(frozen=True)
class Study:
    """One method on one task.

    Attributes:
        place: the values of `COMPETITION`.
        method: its SPEC without what is varied.
        losses: of N points at S seeds (N, S), on the validation split at the end; the loss at the start where a run
            failed or ended no better.
        points: the coordinates of each point (N), in every dimension that is varied.
        specs: SPECs of each point's method and task.
        unimproved: how many points are no better than at the start in the median over seeds, failures among them.
        best: the smallest loss of any method in this place, medians over seeds.
    """

    place: dict[str, Any]
    method: str
    losses: Numbers
    points: dict[str, Numbers]
    specs: list[tuple[str, str]]
    unimproved: int
    best: float

    @property
    def medians(self) -> Numbers:
        """The loss of each point, the median over seeds (N,)."""
        return np.median(self.losses, axis=1)

    @property
    def best_point(self) -> tuple[str, str]:
        """SPECs of the method and the task with the smallest loss; the task without its validation split."""
        method, task = self.specs[int(self.medians.argmin())]
        return method, configured("tasks", task)[0].changed(validation=False).spec

    @property
    def curves(self) -> Numbers:
        """The expected best of k points at each seed (S, N)."""
        return expected_best(self.losses.T)

    def expected(self, k: int) -> Interval:
        """The expected best of k points."""
        return percentile_interval(expected_best(self.medians)[k - 1], expected_best(resampled(self.medians))[:, k - 1])

    def needed(self) -> Interval:
        """How many points until the expected best is `NEAR` the best of all methods."""
        target = NEAR * self.best
        curves = expected_best(resampled(self.medians))
        return percentile_interval(points_needed(expected_best(self.medians), target), points_needed(curves, target))

    def within(self, best: float) -> Interval:
        """The share of points that are good, given the best."""
        return share(int((self.medians <= GOOD * best).sum()), len(self.medians))

    def decades(self) -> float:
        """Powers of ten between the lowest and the highest rate of a good point, at settings of the others that suit.

        It is 0 for one good point; nan where the rate is held.
        """
        if "rate" not in self.points:
            return math.nan
        good = self.points["rate"][self.medians <= GOOD * self.medians.min()]
        return float(np.log10(good.max() / good.min()))

    def shares(self) -> dict[str, float]:
        """First-order shares of the variance of the loss's logarithm, by dimension."""
        logs = np.log(self.medians)
        return {name: float(variance_share(binned(values), logs)) for name, values in self.points.items()}

    def null(self) -> Interval:
        """The share of a dimension without effect."""
        return null_share(binned(np.arange(len(self.medians), dtype=float)), np.log(self.medians))


def studies(records: Sequence[Record]) -> list[Study]:
    """The studies of records, methods that compete on a task one after the other.

    A method is its SPEC without rate, mass and momentum, except those that are the same at all its points. The loss is
    `test_squared_error` where a task has that, and `test_loss` otherwise.

    Raises:
        DataError: no records, or none with an evaluation at the start; a method with fewer points than an analysis of
            variance needs; points without a common seed; or the data of a task are not the same in all records.
    """
    if not records:
        raise DataError("no sensitivity: there are no records")
    frame = located(rows(records))
    check_data(frame)
    own = pd.DataFrame([_own(record) for record in records])
    frame = frame.drop(columns=["task", "method"]).join(own)
    start = frame.groupby(["task", "seed"])["start"].transform("first")
    if start.isna().any():
        task, seed = frame.loc[start.isna(), ["task", "seed"]].iloc[0]
        raise DataError(
            f"no run of {task} with seed {seed} was evaluated at its start, which failed runs count as; run them again"
        )
    ended = pd.to_numeric(frame["end"]).where(frame["status"].eq("ok"), np.inf).fillna(np.inf)
    frame = frame.assign(loss=np.minimum(ended, start), unimproved=ended >= start)
    found = []
    for _, here in frame.groupby(COMPETITION, sort=False, dropna=False):
        methods = [_study(method) for _, method in here.groupby("method", sort=False)]
        best = min(one.medians.min() for one in methods)
        found += [replace(one, best=float(best)) for one in methods]
    return found


def _own(record: Record) -> dict[str, Any]:
    """What a study needs of a record besides its row."""
    cell = record.training
    method, task = cell.make_method(), cell.make_task()
    figures = [*record.history, record.figures]
    name = "test_loss" if all(one.get("test_squared_error") is None for one in figures) else "test_squared_error"
    first = record.history[0] if record.history and record.history[0]["step"] == 0 else {}
    return {
        "task": task.spec_without("batch_size"),
        "method": method.spec_without(*setting_names(method).values()),
        "point": (cell.method, cell.task),
        "start": first.get(name),
        "end": record.figures.get(name),
        **{name: coordinates(cell).get(name, math.nan) for name in DIMENSIONS},
    }


def _study(frame: pd.DataFrame) -> Study:
    """The study of a method's rows, which does not know the other methods' best yet."""
    by_point = frame.groupby("point", sort=False)
    first = by_point.first()
    methods = [configured("methods", spec)[0] for spec, _ in first.index]
    names = setting_names(methods[0])
    held = {name for name, own in names.items() if len({getattr(method, own) for method in methods}) == 1}
    label = methods[0].spec_without(*(own for name, own in names.items() if name not in held))
    matrix = frame.pivot_table(index="point", columns="seed", values="loss", aggfunc="median", sort=False)
    complete = matrix.reindex(first.index).dropna(axis="columns")
    few = len(matrix) < FEWEST
    if few or complete.empty:
        lacks = f"{len(matrix)} points, and {FEWEST} are needed" if few else "no seed with all its points"
        raise DataError(f"no sensitivity: {label} on {first['task'].iloc[0]} has {lacks}; run more of them")
    varied = [name for name in DIMENSIONS if name not in held and first[name].nunique() > 1]
    return Study(
        place=lines_of(frame[COMPETITION].head(1))[0],
        method=label,
        losses=complete.to_numpy(),
        points={name: first[name].to_numpy(dtype=float) for name in varied},
        specs=list(first.index),
        unimproved=int((by_point["unimproved"].mean() > 0.5).sum()),
        best=math.nan,
    )
