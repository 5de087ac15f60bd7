"""Pictures drawn with matplotlib: at the width of a printed page, and legible in grey."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.report.axes import (
    CHARACTER,
    HEIGHT,
    bar_style,
    draw_panel,
    label_plainly,
    line_style,
    plain_label,
    rule_style,
    wrapped,
)
from rbench.report.pictures import Panel, Picture
from rbench.report.plot import new_plot, save_plot, style
from rbench.report.styles import MARKS, Style, dashes, legend, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = {1: 3.3, 2: 7.0}
"""Inches of one column, and of the text across both, of a two-column paper."""

NARROWEST, USUAL = 1.6, 2.2
"""Inches of a panel: the least, and where it is not given how many stand in a row."""

LINE = 0.15
"""Inches of a line of the legend, or of a row of a panel."""

HANDLE = 0.5
"""Inches of what a legend draws beside a text."""

Entries = dict[str, Any]
"""What a legend draws beside each of its texts."""


def save_pictures(pictures: Sequence[Picture], path: Path, width: float = WIDTHS[2]) -> None:
    """Write pictures into one file, below each other, in the form of the path's ending.

    Args:
        pictures: at least one; a label looks the same in all.
        path: what to write.
        width: in inches.

    Raises:
        RbenchError: matplotlib is not installed, or the file cannot be written.
    """
    with style():
        save_plot(draw(pictures, width), path)


def draw(pictures: Sequence[Picture], width: float = WIDTHS[2]) -> "Figure":
    """The figure of `save_pictures`: one legend for all pictures, or one for each where legends have notes."""
    apart = any(notes for notes in legend(pictures).values())
    legends = [_entries([picture], pictures) if apart else {} for picture in pictures]
    shared = {} if apart else _entries(pictures, pictures)
    both = list(zip(pictures, legends, strict=True))
    heights = [_height(picture, width) + _legend_height(own, width) for picture, own in both]
    figure = new_plot(width, sum(heights) + _legend_height(shared, width))
    parts = figure.subfigures(len(pictures), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (picture, own) in zip(parts, both, strict=True):
        _draw(part, picture, pictures, width)
        _add_legend(part, own, width)
    _add_legend(figure, shared, width)
    return figure


def across(picture: Picture, width: float) -> int:
    """How many panels stand in a row: as many as the picture says, or a divisor of that where they are too narrow."""
    count = picture.across or min(len(picture.panels), max(1, int(width / USUAL)))
    fitting = [n for n in range(1, count + 1) if count % n == 0 and width / n >= NARROWEST]
    return max(fitting, default=1)


def _draw(part: Any, picture: Picture, pictures: Sequence[Picture], width: float) -> None:
    columns = across(picture, width)
    rows = ceil(len(picture.panels) / columns)
    if picture.title:
        part.suptitle(wrapped(picture.title, width), fontsize=8, fontweight="bold")
    ratios = [max(map(_panel_height, picture.panels[n * columns : (n + 1) * columns])) for n in range(rows)]
    axes = list(part.subplots(rows, columns, squeeze=False, height_ratios=ratios).flat)
    colors = _colors(picture)
    seen, strokes = styles(pictures), dashes(pictures)
    maps = []
    for one, panel in zip(axes, picture.panels, strict=False):
        if (drawn := draw_panel(one, panel, seen, strokes, colors, width / columns)) is not None:
            maps.append((one, drawn, panel.grid.title if panel.grid else ""))
    for one in axes[len(picture.panels) :]:
        one.remove()
    if maps:
        bar = part.colorbar(maps[-1][1], ax=[one for one, *_ in maps], label=plain_label(maps[-1][2]), aspect=30)
        label_plainly(bar.ax.yaxis, (1, 2, 5))


def _colors(picture: Picture) -> Any:
    """The scale of colours of a picture's heat maps."""
    grids = [panel.grid for panel in picture.panels if panel.grid is not None]
    if not grids:
        return None
    from matplotlib.colors import LogNorm, Normalize

    values = np.concatenate([grid.values[np.isfinite(grid.values)] for grid in grids])
    low, high = (values.min(), values.max()) if len(values) else (1.0, 1.0)
    return (LogNorm if grids[0].log else Normalize)(low, high if high > low else 1.01 * low)


def _entries(named: Sequence[Picture], pictures: Sequence[Picture]) -> Entries:
    """What the legend of some pictures shows, given all that are seen with them: labels with notes, then figures."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    seen, strokes = styles(pictures), dashes(pictures)
    traces = [trace for picture in named for panel in picture.panels for trace in panel.traces]
    first = {trace.label: trace for trace in reversed(traces)}
    found: Entries = {}
    for label, notes in legend(named).items():
        text = label + (f" ({'; '.join(notes)})" if notes else "")
        if label not in seen:
            found[text] = Line2D([], [], color="black", **rule_style(first[label].figure))
        elif first[label].shape == "bars":
            found[text] = Patch(**bar_style(seen[label], list(seen).index(label)))
        else:
            points = {"linestyle": ""} if first[label].shape == "points" else {}
            found[text] = Line2D([], [], **line_style(seen[label], "solid" if strokes else seen[label].dash) | points)
    own = {trace.figure for trace in traces if trace.shape != "rule"}
    for figure, dash in strokes.items():
        if figure in own:
            style = line_style(Style("black", MARKS[0], dash), dash) | {"marker": ""}
            found[figure] = Line2D([], [], **style)
    return found


def _columns(entries: Entries, width: float) -> int:
    longest = max(map(len, entries), default=0)
    return max(1, min(len(entries), int(width / (0.85 * CHARACTER * longest + HANDLE))))


def _legend_height(entries: Entries, width: float) -> float:
    lines = sum(1 + wrapped(text, width - HANDLE).count("\n") for text in entries)
    return LINE * ceil(lines / _columns(entries, width)) + 0.1 if entries else 0.0


def _add_legend(part: Any, entries: Entries, width: float) -> None:
    """Below the panels, in columns."""
    if entries:
        where = {"loc": "outside lower center", "ncols": _columns(entries, width), "frameon": False}
        texts = [wrapped(text, width - HANDLE) for text in entries]
        part.legend(entries.values(), texts, **where, handlelength=2.6, columnspacing=1.2, labelspacing=0.3)


def _height(picture: Picture, width: float) -> float:
    columns = across(picture, width)
    rows = range(0, len(picture.panels), columns)
    panels = sum(max(map(_panel_height, picture.panels[row : row + columns])) for row in rows)
    return panels + (0.2 if picture.title else 0.0)


def _panel_height(panel: Panel) -> float:
    """Inches of a panel: more than usual for many rows."""
    names = len(panel.grid.x) if panel.grid is not None and panel.grid.words else 0
    rows = max(len(panel.rows), len(panel.grid.y) if names and panel.grid is not None else 0)
    return max(HEIGHT, 1.2 * LINE * rows + 0.4) + (0.6 if names else 0.4)
