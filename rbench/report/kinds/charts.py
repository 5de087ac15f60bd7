"""Pictures of the charts that experiments declare."""

from collections.abc import Sequence

import numpy as np

from rbench.charts import Chart
from rbench.errors import DataError
from rbench.report.charts import Line, charts_of, lines
from rbench.report.frame import grouped
from rbench.report.labels import labels_of
from rbench.report.pictures import Panel, Picture, Trace
from rbench.run.record import Record


def chart_pictures(records: Sequence[Record], kind: str) -> list[Picture]:
    """A picture of each chart of a kind, a panel each for tasks or what else the chart tells apart.

    Raises:
        DataError: no record has a figure to draw.
    """
    own = charts_of(records).get(kind, [])
    charts = dict.fromkeys(chart for record in own for chart in record.cell.charts if chart.kind == kind)
    drawn_of = {chart: [record for record in own if chart in record.cell.charts] for chart in charts}
    found = [_picture(chart, lines(chart, its)) for chart, its in drawn_of.items()]
    if not (drawn := [picture for picture in found if picture.panels]):
        figures = " or ".join(dict.fromkeys(name for chart in charts for name in chart.y))
        raise DataError(f"nothing to plot: no cell that ended ok has {figures}")
    return drawn


def _picture(chart: Chart, found: Sequence[Line]) -> Picture:
    figures = dict.fromkeys(line.title for line in found)
    names = labels_of(line.label for line in found)
    panels = labels_of(line.panel for line in found)
    y_title = chart.y_title or ", ".join(figures)
    several = len(figures) > 1
    drawn = tuple(
        Panel(
            panels[panel],
            chart.x_title or chart.x,
            y_title,
            tuple(_trace(line, names[line.label], line.title if several else "") for line in own),
            log=chart.logarithmic,
        )
        for panel, own in grouped(found, lambda line: line.panel).items()
    )
    notes = ("Lines are medians over seeds, bands their range.",) if any(map(_spread, found)) else ()
    return Picture(chart.kind, "", drawn, notes=notes)


def _trace(line: Line, label: str, figure: str) -> Trace:
    x, (middle, low, high) = line.points.index.to_numpy(float), line.points.to_numpy(float).T
    return Trace(label, x, middle, low, high, figure=figure)


def _spread(line: Line) -> bool:
    return bool(np.any(line.points["low"] < line.points["high"]))
