"""Sensitivity to settings: the expected best of k points, and the loss over two settings."""

from collections.abc import Sequence

import numpy as np

from rbench.report.frame import grouped
from rbench.report.labels import labels_of
from rbench.report.pictures import Grid, Numbers, Panel, Picture, Trace
from rbench.report.studies import NEAR, Study, studies
from rbench.run import Record

AXES = ("rate", "mass", "momentum", "batch")
"""The two first of these that a method has are those of its map."""

RESOLUTION = 100
"""Cells of a map along each axis."""

LOSS = "loss on the validation split"


def sensitivity_pictures(records: Sequence[Record]) -> list[Picture]:
    """For each task and place the expected best of k points, and a map for each method.

    A curve is the median over seeds, with their range around it. A map is coloured by the loss, in the median over
    seeds, of the nearest point, as distances are in the plot.

    Raises:
        DataError: as `studies`.
    """
    groups = list(grouped(studies(records), lambda one: tuple(one.place.values())).values())
    places = [group[0].place for group in groups]
    tasks = labels_of(str(place["task"]) for place in places)
    several = [name for name in places[0] if name != "task" and len({place[name] for place in places}) > 1]
    titles = [", ".join([tasks[str(place["task"])], *(str(place[name]) for name in several)]) for place in places]
    return [_picture(title, group) for title, group in zip(titles, groups, strict=True)]


def _picture(title: str, group: Sequence[Study]) -> Picture:
    names = labels_of(one.method for one in group)
    traces = [_curve(one, names[one.method]) for one in group]
    most = max(len(one.medians) for one in group)
    near = Trace(f"{NEAR:g} × the best", np.array([1.0, most]), np.full(2, NEAR * group[0].best), shape="rule")
    first = Panel("", "points tried", "expected best loss", (*traces, near), log="xy")
    notes = (
        "Curves: the expected best loss of so many points, median over seeds with their range. Maps: the loss of the "
        "nearest point, median over seeds; circles are points.",
    )
    maps = [_map(one, names[one.method]) for one in group]
    return Picture("heatmap", title, (first, *maps), across=min(3, 1 + len(maps)), notes=notes)


def _curve(one: Study, label: str) -> Trace:
    curves = one.curves
    k = np.arange(1, curves.shape[1] + 1, dtype=float)
    return Trace(label, k, np.median(curves, axis=0), curves.min(axis=0), curves.max(axis=0))


def _map(one: Study, label: str) -> Panel:
    """The map of one method; of a single setting the losses over it."""
    from scipy.interpolate import griddata

    across, *others = [name for name in AXES if name in one.points]
    x = _scaled(across, one.points[across])
    if not others:
        return Panel(label, _title(across), LOSS, (Trace(label, x, one.medians, shape="points"),), log="y")
    y = _scaled(others[0], one.points[others[0]])
    wide, high = (np.linspace(values.min(), values.max(), RESOLUTION) for values in (x, y))
    nearest = griddata((x, y), one.medians, tuple(np.meshgrid(wide, high)), method="nearest", rescale=True)
    best = np.arange(len(x)) == one.medians.argmin()
    points = Trace("", x[~best], y[~best], shape="points"), Trace("best point", x[best], y[best], shape="points")
    grid = Grid(wide, high, nearest, LOSS, log=True)
    return Panel(label, _title(across), _title(others[0]), points, grid)


def _scaled(name: str, values: Numbers) -> Numbers:
    """Values as they were drawn."""
    return np.asarray(np.log10(1 - values if name == "momentum" else values), dtype=float)


def _title(name: str) -> str:
    return f"log₁₀ (1 − {name})" if name == "momentum" else f"log₁₀ {name}"
