"""Time and memory against the test figure, and the methods that no other beats in both."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rbench.errors import DataError
from rbench.figures import TRAINING, Figure, judging
from rbench.report.kinds.places import by_place, failures, labelled, of_training, seeds_in_words
from rbench.report.noise import median_interval
from rbench.report.pictures import Numbers, Panel, Picture, Trace
from rbench.run import Record

COSTS = {"train_seconds": "seconds of training", "peak_host_bytes": "peak MiB", "peak_device_bytes": "peak device MiB"}
"""What is plotted against the test figure, and what its axis is called."""

INTERVAL = "95 % percentile bootstrap intervals of the median (of up to 5 seeds their range)"

FRONT = "none is better in both"


def pareto_pictures(records: Sequence[Record]) -> list[Picture]:
    """For each task and place the test figure over seconds, and over peak memory, medians over seeds with intervals.

    A dotted staircase joins the methods that no other beats in both. Of an accuracy the share missed is drawn, so that
    less is better along every axis.

    Raises:
        DataError: no training ended ok with a test figure and its time, or the data of a task are not the same in all.
    """
    records = of_training(records)
    places = list(by_place(labelled(records))) if records else []
    found = [_picture(title, cells) for title, cells in places]
    if not (drawn := [picture for picture in found if picture is not None]):
        raise DataError("no Pareto front: no training here ended ok with a test figure and its time")
    return drawn


def front(x: Numbers, y: Numbers) -> list[int]:
    """The places of points (n,) that no other beats in x and y, the smallest x first.

    One beats another where it is less in one of both, and not more in the other.
    """
    less = (x[:, None] <= x) & (y[:, None] <= y) & ((x[:, None] < x) | (y[:, None] < y))
    return [int(n) for n in np.lexsort((y, x)) if not less[:, n].any()]


def _picture(title: str, cells: pd.DataFrame) -> Picture | None:
    ok = cells[cells["status"] == "ok"]
    figure = next((one for one in judging(TRAINING) if ok[one.name].notna().any()), None)
    if figure is None:
        return None
    panels = [_panel(ok, name, title, figure) for name, title in COSTS.items() if ok[name].notna().any()]
    several = cells["seed"].nunique() > 1
    notes = [f"Medians over {seeds_in_words(cells)}, with {INTERVAL}." if several else "One seed."]
    notes.append("Less is better along both axes; the dotted line joins the methods that no other beats in both.")
    if ended := failures(cells):
        notes.append(f"Runs that failed are left out: {'; '.join(ended)}.")
    return Picture("pareto", title, tuple(panels), notes=tuple(notes)) if panels else None


def _panel(ok: pd.DataFrame, cost: str, x_title: str, figure: Figure) -> Panel:
    unit = next(one.unit for one in TRAINING if one.name == cost)
    x = unit.factor * pd.to_numeric(ok[cost])
    y = figure.unit.factor * figure.minimised(pd.to_numeric(ok[figure.name]))
    points = pd.DataFrame({"method": ok["method"], "x": x, "y": y}).dropna()
    traces = [_point(str(method), own) for method, own in points.groupby("method", sort=False)]
    at = np.array([[trace.x[0], trace.y[0]] for trace in traces]).reshape(-1, 2)
    best = at[front(at[:, 0], at[:, 1])]
    corners = np.repeat(best[:, 0], 2)[1:], np.repeat(best[:, 1], 2)[:-1]
    stairs = Trace(FRONT, *corners, shape="rule")
    y_title = "test labels missed, %" if figure.better == "higher" else figure.title
    return Panel("", x_title, y_title, (stairs, *traces), log="xy" if (at > 0).all() else "x")


def _point(method: str, own: pd.DataFrame) -> Trace:
    (x, left, right), (y, low, high) = (
        (np.array([float(number)]) for number in (own[name].median(), *median_interval(own[name]))) for name in "xy"
    )
    return Trace(method, x, y, low, high, left, right, shape="points")
