"""Curves of training: test error against seconds and against steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rbench.errors import DataError
from rbench.report.frame import history
from rbench.report.plot import label_plainly, new_plot, plain_label, save_plot
from rbench.report.problems import PLACE, check_data, named
from rbench.run.record import Record


def draw_curves(records: Sequence[Record], path: Path) -> None:
    """Write a plot of test error over training seconds and over steps, a row of panels per task and place.

    The error is the share of labels missed, or the squared error. A line is the median over seeds of both axes, with
    the seeds' range around it; a run that failed ends where it was last evaluated. Seconds are logarithmic, so the
    evaluation before the first step is only over steps.

    Raises:
        DataError: no record has an evaluation, or the data of a task are not the same in all.
        RbenchError: matplotlib is not installed, or the file cannot be written.
    """
    frame = history(records)
    if frame.empty:
        raise DataError("no curves: no record here has an evaluation")
    check_data(frame)
    missed = 100 * (1 - pd.to_numeric(frame["test_accuracy"]))
    error = missed.fillna(pd.to_numeric(frame["test_squared_error"]))
    frame = named(frame.assign(error=error, labels=missed.notna()))
    places = [name for name in PLACE if name in frame and frame[name].nunique(dropna=False) > 1]
    problems = list(frame.groupby(["task", *places], sort=False, dropna=False))
    methods = list(frame["method"].unique())
    picture = new_plot(13, 0.5 + 4.2 * len(problems) + 0.22 * len(methods))
    panels = picture.subplots(len(problems), 2, sharey="row", squeeze=False)
    styles = [(f"C{index % 10}", ("-", "--", ":", "-.")[index // 10 % 4]) for index in range(len(methods))]
    handles = {}
    for row, (place, here) in zip(panels, problems, strict=True):
        row[0].set_title(plain_label(", ".join(map(str, place))), loc="left")
        row[0].set_ylabel("test labels missed, %" if here["labels"].any() else "test squared error")
        row[0].set(xscale="log", yscale="log", xlabel="seconds of training")
        row[1].set(yscale="log", xlabel="steps")
        for method, runs in here.groupby("method", sort=False):
            handles[method] = _draw(row, runs, *styles[methods.index(method)])
        label_plainly(row[0].xaxis, row[0].yaxis)
        for panel in row:
            panel.grid(visible=True, which="both", alpha=0.3)
    names = [plain_label(str(method)) for method in handles]
    picture.legend(handles.values(), names, loc="outside lower center", fontsize="small")
    save_plot(picture, path, dpi=110)


def _draw(row: Sequence[Any], runs: pd.DataFrame, color: str, linestyle: str) -> Any:
    """The lines of a method in both panels, and one of them for the legend."""
    by_step = runs.groupby("step")[["seconds", "error"]]
    middle = by_step.median().assign(low=by_step.min()["error"], high=by_step.max()["error"])
    timed = middle[middle["seconds"] > 0]
    for panel, x, line in ((row[0], timed["seconds"], timed), (row[1], middle.index, middle)):
        (drawn,) = panel.plot(x, line["error"], linewidth=1.5, color=color, linestyle=linestyle)
        panel.fill_between(x, line["low"], line["high"], color=color, alpha=0.15, linewidth=0)
    return drawn
