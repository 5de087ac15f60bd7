"""Curves of training: losses and errors against steps and against seconds."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rbench.errors import DataError
from rbench.report.kinds.places import by_place, failures, labelled, of_training, seeds_in_words
from rbench.report.pictures import Panel, Picture, Trace
from rbench.run import Record

FAR = 100.0
"""A figure that is so many times what it was at the start counts as infinite: the others could not be seen."""

LOSSES = {"train_loss": "train loss", "test_loss": "test loss", "missed": "test labels missed, %"}
SQUARES = {"train_squared_error": "train squared error", "test_squared_error": "test squared error"}
"""Figures of a task with labels and of another, whose loss is half of its squared error, and what they are called."""

AXES = {"step": "steps", "seconds": "seconds of training"}


def curve_pictures(records: Sequence[Record]) -> list[Picture]:
    """For each task and place its losses and errors over steps, and below over seconds.

    A line is the median over seeds of both axes at each evaluation, its band their range. From where a run failed it
    counts as worse than all others. Seconds are logarithmic, so the evaluation before the first step is only over
    steps.

    Raises:
        DataError: no record has an evaluation, or the data of a task are not the same in all.
    """
    records = of_training(records)
    points = [
        {**point, "run": run, "evaluation": evaluation}
        for run, record in enumerate(records)
        for evaluation, point in enumerate(record.history)
    ]
    if not points:
        raise DataError("no curves: no record here has an evaluation")
    history = pd.DataFrame(points)
    history["missed"] = 100 * (1 - pd.to_numeric(history["test_accuracy"]))
    known = [name for name in (*LOSSES, *SQUARES) if name in history]
    history[known] = history[known].apply(pd.to_numeric)
    places = [(title, cells, history[history["run"].isin(cells.index)]) for title, cells in by_place(labelled(records))]
    return [_picture(title, cells, own) for title, cells, own in places if len(own)]


def _picture(title: str, cells: pd.DataFrame, own: pd.DataFrame) -> Picture:
    known = [name for name in (*LOSSES, *SQUARES) if name in own and own[name].notna().any()]
    squares = {name: words for name, words in SQUARES.items() if name in known}
    figures = squares or {name: words for name, words in LOSSES.items() if name in known}
    panels = tuple(
        Panel("", AXES[x], words, tuple(_traces(cells, own, x, name)), log="xy" if x == "seconds" else "y")
        for x in AXES
        for name, words in figures.items()
    )
    several = cells["seed"].nunique() > 1
    notes = [f"Lines are medians over {seeds_in_words(cells)}, bands their range." if several else "One seed."]
    if failed := failures(cells):
        notes.append(f"From where a run failed it counts as worse than all others: {'; '.join(failed)}.")
    if any((own[name] > FAR * own.loc[own["evaluation"] == 0, name].median()).any() for name in figures):
        notes.append(f"A figure beyond {FAR:g} times what it was at the start is not drawn.")
    return Picture("curves", title, panels, across=len(figures), notes=tuple(notes))


def _traces(cells: pd.DataFrame, own: pd.DataFrame, x: str, figure: str) -> Iterator[Trace]:
    for method, runs in cells.groupby("method", sort=False):
        here = own[own["run"].isin(runs.index)]
        at = here.groupby("evaluation")[x].median()
        values = here.pivot(index="evaluation", columns="run", values=figure).reindex(columns=runs.index)
        start = here.loc[here["evaluation"] == 0, figure].median()
        ended = runs["status"] != "ok"
        values.loc[:, ended] = values.loc[:, ended].fillna(np.inf)
        values = values.where(~(values > FAR * start), np.inf)
        middle, low, high = values.median(axis=1), values.min(axis=1), values.max(axis=1)
        shown = np.isfinite(middle) & (middle > 0) & ((at > 0) | (x == "step"))
        if shown.any():
            yield Trace(str(method), *(part[shown].to_numpy(float) for part in (at, middle, low, high)))
