"""Sensitivity to settings as a picture: the expected best of k points, and the loss over two settings."""

import math
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from rbench.report.frame import grouped
from rbench.report.plot import label_plainly, new_plot, plain_label, save_plot
from rbench.report.studies import NEAR, Study, studies
from rbench.run import Record

ACROSS = 4
"""Panels in a row."""

AXES = ("rate", "mass", "momentum", "batch")
"""The two first of these that a method has are those of its map."""

RESOLUTION = 200


def draw_sensitivity(records: Sequence[Record], path: Path) -> None:
    """Write a plot of studies: for each task and place the expected best of k points, and a map for each method.

    A curve is the median over seeds, with their range around it. A map is coloured by the loss, in the median over
    seeds, of the nearest point, as distances are in the plot; dots are points, a star is the best.

    Raises:
        DataError: as `studies`.
        RbenchError: matplotlib is not installed, or the file cannot be written.
    """
    groups = list(grouped(studies(records), lambda one: tuple(one.place.values())).values())
    places = [group[0].place for group in groups]
    titles = [name for name in places[0] if name in ("task", "budget") or len({place[name] for place in places}) > 1]
    heights = [math.ceil((1 + len(group)) / ACROSS) for group in groups]
    picture = new_plot(4.2 * ACROSS, 0.4 + 3.6 * sum(heights))
    parts = picture.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, group, height in zip(parts, groups, heights, strict=True):
        part.suptitle(plain_label(", ".join(str(group[0].place[name]) for name in titles)))
        panels = part.subplots(height, ACROSS).flat
        _draw_curves(next(panels), group)
        drawn = None
        maps = []
        for panel, one in zip_longest(panels, group):
            if one is None:
                panel.set_axis_off()
            else:
                drawn = _draw_map(panel, one, max(float(other.losses.max()) for other in group)) or drawn
                maps.append(panel)
        if drawn is not None:
            bar = part.colorbar(drawn, ax=maps, label="loss on the validation split", aspect=40)
            label_plainly(bar.ax.yaxis)
    save_plot(picture, path, dpi=110)


def _draw_curves(panel: Any, group: Sequence[Study]) -> None:
    for index, one in enumerate(group):
        curves = one.curves
        k = np.arange(1, curves.shape[1] + 1)
        look = {"color": f"C{index % 10}", "linestyle": ("-", "--", ":", "-.")[index // 10 % 4]}
        panel.plot(k, np.median(curves, axis=0), label=plain_label(one.method), **look)
        panel.fill_between(k, curves.min(axis=0), curves.max(axis=0), color=look["color"], alpha=0.15, linewidth=0)
    panel.axhline(NEAR * group[0].best, color="black", linewidth=0.8, linestyle=":", label=f"{NEAR:g} × the best")
    panel.set(xlabel="points", ylabel="expected best loss", yscale="log")
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:g}")
    label_plainly(panel.yaxis)
    panel.grid(visible=True, which="both", alpha=0.3)
    panel.legend(fontsize="xx-small", loc="upper right")


def _draw_map(panel: Any, one: Study, worst: float) -> Any:
    """The map of one method, and what its colours belong to; of a single setting the losses over it, and None."""
    from matplotlib.colors import LogNorm  # optional, as all of matplotlib
    from scipy.interpolate import griddata

    across, *others = [name for name in AXES if name in one.points]
    panel.set_title(plain_label(one.method), fontsize="small")
    if not others:
        panel.plot(_scaled(across, one.points[across]), one.medians, ".")
        panel.set(xlabel=_title(across), ylabel="loss on the validation split", yscale="log")
        return None
    up = others[0]
    x, y = (_scaled(name, one.points[name]) for name in (across, up))
    grid = [np.linspace(values.min(), values.max(), RESOLUTION) for values in (x, y)]
    nearest = griddata((x, y), one.medians, tuple(np.meshgrid(*grid)), method="nearest", rescale=True)
    drawn = panel.pcolormesh(*grid, nearest, norm=LogNorm(one.best, worst), cmap="viridis_r", rasterized=True)
    panel.plot(x, y, ".", color="white", markersize=3, markeredgecolor="black", markeredgewidth=0.3)
    best = int(one.medians.argmin())
    panel.plot(x[best], y[best], "*", color="red", markersize=10, markeredgecolor="white")
    panel.set(xlabel=_title(across), ylabel=_title(up))
    return drawn


def _scaled(name: str, values: Any) -> Any:
    """Values as they were drawn."""
    return np.log10(1 - values if name == "momentum" else values)


def _title(name: str) -> str:
    return f"log₁₀ (1 − {name})" if name == "momentum" else f"log₁₀ {name}"
