"""One panel of a picture, drawn with matplotlib."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.report.pictures import Grid, Numbers, Panel, Trace
from rbench.report.styles import DASHES, MARKS, Style
from rbench.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

MARKERS = dict(zip(MARKS, "os^vDPX*ph", strict=True))
STYLES = dict(zip(DASHES, ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5))), strict=True))
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oooo", "----", "++++")
"""Bars are told apart by these too."""

CHARACTER = 0.062
"""Inches of a character of small print."""

MARGIN = 0.5
"""Inches that the numbers of a vertical axis take."""

HEIGHT = 1.6
"""Inches of a panel's height."""

SHARE = 0.4
"""The most of a panel's width that the names of its rows take; longer ones are in several lines."""

BAR, SMALLEST = 0.8, 3.5
"""Inches of a scale of colours, and the smallest print within cells, in points; what would be smaller is left out."""

FEW = 8
"""Most places along an axis of which each has its label."""

MOST_MARKS = 6
"""About how many marks a line has."""

RULES = {"thick": {"linewidth": 2.2, "linestyle": "-"}, "thin": {"linewidth": 0.8, "linestyle": "-"}}
"""Rules of a figure of these names; others are thin and dotted."""


def draw_panel(
    axes: "Axes", panel: Panel, styles: Mapping[str, Style], dashes: Mapping[str, str], colors: Any, width: float
) -> Any:
    """Draw a panel.

    Args:
        axes: empty.
        panel: what to draw.
        styles: of every label that is no rule.
        dashes: of every figure.
        colors: matplotlib's norm for the colours of the heat map.
        width: inches of the panel.

    Returns:
        What the colours of its heat map belong to, for a colour bar; None without one.
    """
    beside = max([MARGIN, *(_names_width(names, width) for names in (panel.rows, panel.grid.y if panel.grid else ()))])
    axes.set_title(wrapped(panel.title, width - beside), loc="left")
    axes.set(xlabel=wrapped(panel.x_title, width), ylabel=wrapped(panel.y_title, HEIGHT))
    axes.set(**{f"{axis}scale": "log" for axis in panel.log})
    drawn = None if panel.grid is None else _draw_grid(axes, panel.grid, colors, width)
    if panel.grid is None:
        axes.grid(visible=True, which="major", linewidth=0.4, color="0.85")
    ends: dict[float, float] = {}
    for place, trace in enumerate(panel.traces):
        if trace.shape == "rule":
            axes.plot(trace.x, trace.y, color="black", **rule_style(trace.figure))
            continue
        style = styles[trace.label]
        if trace.shape == "bars":
            left = [ends.get(y, 0.0) for y in trace.y]
            axes.barh(trace.y, trace.x, left=left, height=0.7, **bar_style(style, list(styles).index(trace.label)))
            ends |= {y: start + x for y, start, x in zip(trace.y, left, trace.x, strict=True)}
        else:
            dash = dashes.get(trace.figure, "solid" if dashes else style.dash)
            _draw_trace(axes, trace, line_style(style, dash), place)
    axes.set_axisbelow(True)
    if panel.rows:
        axes.set(ylim=(len(panel.rows) - 0.5, min(-0.5, *axes.get_ylim())))
        axes.set_yticks(range(len(panel.rows)), [wrapped(name, SHARE * width) for name in panel.rows])
    _label_axes(axes, panel, width)
    return drawn


def rule_style(figure: str) -> dict[str, Any]:
    """How rules are drawn."""
    return RULES.get(figure, {"linewidth": 0.8, "linestyle": (0, (1, 1.5))})


def bar_style(style: Style, place: int) -> dict[str, Any]:
    """How bars are filled."""
    return {"facecolor": style.color, "hatch": HATCHES[place % len(HATCHES)], "edgecolor": "white", "linewidth": 0.4}


def line_style(style: Style, dash: str) -> dict[str, Any]:
    """How lines are drawn, with their marks."""
    size = 3.6 if style.mark != "star" else 6.0  # whose points are thin
    mark = {"marker": MARKERS[style.mark], "markersize": size, "markeredgecolor": "white", "markeredgewidth": 0.4}
    return {"color": style.color, "linestyle": STYLES[dash], "linewidth": 1.1, **mark}


def wrapped(text: str, width: float) -> str:
    """Text in lines of so many inches, as `plain_label`."""
    return "\n".join(map(plain_label, wrap(visible(text), max(12, int(width / CHARACTER)))))


def plain_label(text: str) -> str:
    """Text that a plot shows literally, even with a leading `_` or dollars."""
    shown = visible(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _draw_trace(axes: "Axes", trace: Trace, style: dict[str, Any], place: int) -> None:
    """A line with its band, a staircase, or points with error bars."""
    if trace.shape == "points":
        errors = (_errors(trace.x, trace.left, trace.right), _errors(trace.y, trace.low, trace.high))
        shown = style | {"linestyle": "", "markersize": 1.4 * style["markersize"]}
        axes.errorbar(trace.x, trace.y, xerr=errors[0], yerr=errors[1], elinewidth=0.6, **shown)
        return
    if trace.shape == "step":
        # Each is thinner than those below it, so that all stay visible where they coincide.
        axes.plot(trace.x, trace.y, drawstyle="steps-post", **style | {"linewidth": max(1.0, 2.2 - 0.2 * place)})
        return
    every = max(1, round(len(trace.x) / MOST_MARKS))
    axes.plot(trace.x, trace.y, markevery=(place % every, every), **style)
    if trace.low is not None and trace.high is not None and np.any(trace.low < trace.high):
        axes.fill_between(trace.x, trace.low, trace.high, color=style["color"], alpha=0.15, linewidth=0)


def _errors(middle: Numbers, low: Numbers | None, high: Numbers | None) -> Any:
    return None if low is None or high is None else np.array([middle - low, high - middle])


def _draw_grid(axes: "Axes", grid: Grid, colors: Any, width: float) -> Any:
    """The cells, with their words."""
    named = [len(names) > 0 and isinstance(names[0], str) for names in (grid.x, grid.y)]
    x, y = (np.arange(len(names)) if own else names for names, own in zip((grid.x, grid.y), named, strict=True))
    style = {"cmap": "viridis_r", "norm": colors, "rasterized": not all(named)}
    drawn = axes.pcolormesh(x, y, np.ma.masked_invalid(grid.values), shading="nearest", **style)
    if named[0]:
        axes.set_xticks(x, [plain_label(str(name)) for name in grid.x], rotation=30, ha="right", rotation_mode="anchor")
    if named[1]:
        axes.set_yticks(y, [wrapped(str(name), SHARE * width) for name in grid.y])
        axes.invert_yaxis()
    cell = (width - _names_width(grid.y, width) - BAR) / max(1, len(grid.x))
    for row, words in enumerate(grid.words):
        for column, word in enumerate(words):
            value = grid.values[row, column]
            dark = bool(np.isfinite(value)) and float(colors(value)) > 0.5
            size = min(7.0, 7 * cell / (CHARACTER * len(word) or 1))
            if size >= SMALLEST:
                style = {"color": "white" if dark else "black", "fontsize": size}
                axes.text(column, row, plain_label(word), ha="center", va="center", **style)
    return drawn


def _names_width(names: Any, width: float) -> float:
    """Inches that the names of rows take; 0 for numbers."""
    texts = [str(name) for name in names] if len(names) and isinstance(names[0], str) else []
    return min(SHARE * width, CHARACTER * max(map(len, texts), default=0))


def _label_axes(axes: "Axes", panel: Panel, width: float) -> None:
    """Write numbers in place of powers along short logarithmic axes, and each place where there are few."""
    places = sorted({float(x) for trace in panel.traces if trace.shape == "line" for x in trace.x})
    label_plainly(axes.xaxis, (1, 3))
    if not panel.rows:
        label_plainly(axes.yaxis, (1, 2, 5))
    words = [f"{place:g}" for place in places]
    if axes.get_xscale() == "log" and 1 < len(places) <= FEW and CHARACTER * sum(map(len, words)) < width / 2:
        axes.set_xticks(places, words, minor=False)
        axes.xaxis.set_minor_formatter("")


def label_plainly(axis: "Axis", few: Sequence[int]) -> None:
    """Write numbers along a logarithmic axis of under three decades: so many times the powers of ten."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    low, high = axis.get_view_interval()
    if axis.get_scale() != "log" or high > 1000 * low:
        return
    axis.set_major_locator(MaxNLocator(4) if high < 3 * low else LogLocator(subs=few if high > 30 * low else (1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")
