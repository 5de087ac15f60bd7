"""Pictures as Plotly's figures: plain data, a figure for each panel; the page's script adds its theme's colours."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from rbench.figures import significant
from rbench.report.page.beside import Shown
from rbench.report.page.thinning import kept
from rbench.report.pictures import Grid, Numbers, Panel, Trace
from rbench.report.styles import Style
from rbench.text import visible

INK = "#000000"
"""The colour that stands for that of text, which the page replaces in a dark theme."""

RULES = {"thick": 4, "thin": 1}
"""How wide a rule of each figure is, in pixels."""

BAND = 0.15
"""How opaque a band is."""

MOST_MARKS = 12
"""Marks along a line; more would hide it."""


def drawn(
    shown: Shown, styles: Mapping[str, Style], dashes: Mapping[str, str], scale: tuple[float, float] | None
) -> dict[str, Any]:
    """A panel as `data` and `layout` of Plotly.

    Each trace has as `meta` its label and the number of its run, by which the page hides it.

    Args:
        shown: the panel.
        styles: of each label.
        dashes: of each figure.
        scale: the range of the colours of grids.
    """
    panel = shown.panel
    data = [_grid(panel.grid, scale) | {"meta": {"run": shown.grid_run}}] if panel.grid is not None else []
    for trace, run in zip(panel.traces, shown.runs, strict=True):
        meta = {"label": visible(trace.label), "run": run}
        data += [one | {"meta": meta} for one in _traces(trace, styles.get(trace.label), dashes.get(trace.figure))]
    return {"data": data, "layout": {"xaxis": _x_axis(panel), "yaxis": _y_axis(panel)}}


def literal(text: str) -> str:
    """Text that Plotly shows as it is: it would take `<b>` and its like for markup."""
    return escape(visible(text), quote=False)


def colour_scale(grids: Sequence[Grid]) -> tuple[float, float] | None:
    """The range of colours that grids share; None where no value is known."""
    values = np.concatenate([_coloured(grid).ravel() for grid in grids]) if grids else np.empty(0)
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else None


def _traces(trace: Trace, style: Style | None, dash: str | None) -> list[dict[str, Any]]:
    color = INK if style is None or trace.shape == "rule" else style.color
    base = {"type": "scatter", "name": literal(trace.label), "hoverlabel": {"namelength": -1}}
    if trace.hover:
        base |= {"text": [literal(words) for words in trace.hover], "hoverinfo": "text+name"}
    if trace.shape == "bars":
        marker = {"color": color, "line": {"width": 1}}
        places = {"x": _numbers(trace.x), "y": _numbers(trace.y)}
        return [base | places | {"type": "bar", "orientation": "h", "marker": marker}]
    mark = {"color": color, "symbol": style.mark if style else "circle", "size": 7, "maxdisplayed": MOST_MARKS}
    if trace.shape == "points":
        bars = {"error_y": _error(trace.y, trace.low, trace.high), "error_x": _error(trace.x, trace.left, trace.right)}
        mark |= {"size": 10, "maxdisplayed": 0}
        return [base | _points(trace) | {"mode": "markers", "marker": mark, **{k: v for k, v in bars.items() if v}}]
    if trace.shape == "rule":
        width = RULES.get(trace.figure, 2)
        line = {"color": color, "dash": "solid" if trace.figure else "dot", "width": width}
        return [base | _points(trace) | {"mode": "lines", "line": line}]
    shape = "hv" if trace.shape == "step" else "linear"
    line = {"color": color, "dash": dash or (style.dash if style else "solid"), "width": 2, "shape": shape}
    return [*_band(trace, color), base | _points(trace) | {"mode": "lines+markers", "line": line, "marker": mark}]


def _points(trace: Trace) -> dict[str, Any]:
    """x, y and their texts, without points that no screen can show."""
    chosen = kept(trace.x, trace.y) if not trace.hover else np.arange(len(trace.x))
    return {"x": _numbers(trace.x[chosen]), "y": _numbers(trace.y[chosen])}


def _band(trace: Trace, color: str) -> list[dict[str, Any]]:
    """The outline of a band, there and back."""
    if trace.low is None or trace.high is None:
        return []
    known = np.isfinite(trace.low) & np.isfinite(trace.high)
    x, low, high = trace.x[known], trace.low[known], trace.high[known]
    chosen = kept(x, high)
    x, low, high = x[chosen], low[chosen], high[chosen]
    shape = "hv" if trace.shape == "step" else "linear"
    return [
        {
            "type": "scatter", "x": _numbers(np.concatenate([x, x[::-1]])), "mode": "lines",
            "y": _numbers(np.concatenate([high, low[::-1]])), "fill": "toself", "hoverinfo": "skip",
            "fillcolor": _faint(color), "line": {"width": 0, "shape": shape, "color": color},
        }
    ]  # fmt: skip


def _error(middle: Numbers, low: Numbers | None, high: Numbers | None) -> dict[str, Any]:
    if low is None or high is None:
        return {}
    return {"type": "data", "symmetric": False, "array": _numbers(high - middle), "arrayminus": _numbers(middle - low)}


def _grid(grid: Grid, scale: tuple[float, float] | None) -> dict[str, Any]:
    coloured = _coloured(grid)
    low, high = scale or (0.0, 1.0)
    bar: dict[str, Any] = {"title": {"text": literal(grid.title), "side": "right"}, "thickness": 12}
    if grid.log:
        ticks = np.unique(np.round(np.linspace(low, high, 5), 1))
        bar |= {"tickvals": ticks.tolist(), "ticktext": [significant(10.0**tick) for tick in ticks]}
    rows = [[_value(value) for value in row] for row in grid.values]
    found = {"type": "heatmap", "z": [_numbers(row) for row in coloured], "zmin": low, "zmax": high, "colorbar": bar,
             "colorscale": "Cividis", "x": _names(grid.x), "y": _names(grid.y), "customdata": rows,
             "hovertemplate": "%{y}<br>%{x}<br>%{customdata}<extra></extra>", "xgap": 1, "ygap": 1}  # fmt: skip
    if grid.words:
        found |= {
            "showscale": False,
            "text": [[literal(word) for word in row] for row in grid.words],
            "texttemplate": "%{text}",
        }
    return found


def _coloured(grid: Grid) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(grid.values) if grid.log else grid.values


def _value(value: float) -> str:
    return "–" if np.isnan(value) else significant(float(value))


def _names(along: Any) -> list[Any]:
    return [literal(one) if isinstance(one, str) else float(one) for one in along]


def _x_axis(panel: Panel) -> dict[str, Any]:
    return _axis(panel.x_title, "x" in panel.log, panel.grid.x if panel.grid else None)


def _y_axis(panel: Panel) -> dict[str, Any]:
    axis = _axis(panel.y_title, "y" in panel.log, panel.grid.y if panel.grid else None)
    if panel.rows:
        places = list(range(len(panel.rows)))
        names = {"tickmode": "array", "tickvals": places, "ticktext": [literal(row) for row in panel.rows]}
        axis |= names | {"range": [len(panel.rows) - 0.5, -0.5], "type": "linear", "zeroline": False}
    elif axis["type"] == "category":
        axis |= {"autorange": "reversed"}
    return axis


def _axis(title: str, log: bool, along: Any) -> dict[str, Any]:
    named = along is not None and len(along) > 0 and isinstance(along[0], str)
    kind = "category" if named else "log" if log else "linear"
    axis = {"title": {"text": literal(title)}, "type": kind, "automargin": True, "hoverformat": ".4g"}
    return axis | ({"exponentformat": "power", "nticks": 6, "minor": {"ticks": "inside"}} if kind == "log" else {})


def _numbers(values: Any) -> list[float | None]:
    """Numbers with six digits, which no screen can show more of; None where there is none."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def _faint(color: str) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND})"
