"""Charts that experiments declare: their lines, the exponents of these, and the plot."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rbench.charts import Chart
from rbench.errors import DataError
from rbench.names import unknown
from rbench.report.frame import raw_rows
from rbench.report.plot import label_plainly, new_plot, plain_label, save_plot
from rbench.report.scaling import exponent
from rbench.run.record import Record

PLACE = ("suite", "backend", "device", "dtype", "threads", "environment")
"""Fields that tell lines apart too, where rows differ in them."""

DASHES = ("-", "--", ":", "-.")

FEW = 8
"""Most sizes of which each has its label on the axis."""


class Line(NamedTuple):
    """A figure over x.

    Attributes:
        panel: what its panel is called.
        label: what it is called.
        figure: the figure's field.
        title: what the figure is called.
        points: indexed by x, in order: the median over seeds, `low` and `high`, their range.
        decades: over which its exponent is fitted.
    """

    panel: str
    label: str
    figure: str
    title: str
    points: pd.DataFrame
    decades: float

    @property
    def exponent(self) -> tuple[float, float, float] | None:
        """p of y = c xᵖ, with its 95 % interval; None with fewer than three points."""
        return exponent(self.points.index, self.points["median"], self.decades)


def charts_of(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records that each kind of chart draws, by kind."""
    found: dict[str, list[Record]] = {}
    for record in records:
        for chart in record.cell.charts:
            found.setdefault(chart.kind, []).append(record)
    return found


def lines(chart: Chart, records: Sequence[Record]) -> list[Line]:
    """The lines of a chart in order of the rows that ended `ok`; figures that a row lacks have no point.

    Of a logarithmic axis only numbers above 0 are kept.
    """
    frame = pd.DataFrame(raw_rows(records))
    frame = frame[frame["status"] == "ok"]
    titles = {figure.name: figure.title or figure.name for record in records for figure in record.cell.figures}
    places = [name for name in PLACE if name in frame and frame[name].nunique(dropna=False) > 1]
    found = []
    for _, panel in frame.groupby(list(chart.panels), sort=False, dropna=False):
        heading = ", ".join(str(panel[name].iloc[0]) for name in chart.panels)
        for (_, own), figure in product(panel.groupby([*chart.lines, *places], sort=False, dropna=False), chart.y):
            label = " ".join(str(own[name].iloc[0]) for name in (*chart.lines, *places))
            own = own[own[chart.complete] == 1] if chart.complete else own
            known = own[[chart.x, figure]].apply(pd.to_numeric).dropna()
            for name, axis in ((chart.x, "x"), (figure, "y")):
                known = known[known[name] > 0] if axis in chart.logarithmic else known
            if len(known):
                points = known.groupby(chart.x)[figure].agg(["median", "min", "max"])
                points = points.rename(columns={"min": "low", "max": "high"})
                found.append(Line(heading, label, figure, titles[figure], points, chart.decades))
    return found


def exponents(records: Sequence[Record]) -> pd.DataFrame:
    """The exponents that the charts of these records state, with 95 % intervals: text, a row per line of a chart."""
    found = []
    for chart in dict.fromkeys(chart for record in records for chart in record.cell.charts if chart.decades):
        own = [record for record in records if chart in record.cell.charts]
        for line in lines(chart, own):
            if line.exponent is not None:
                names = {
                    "task": line.panel,
                    "method": line.label,
                    "figure": line.title,
                    "over": chart.x_title or chart.x,
                }
                found.append(names | {"exponent": "{:.2f} ({:.2f} to {:.2f})".format(*line.exponent)})
    return pd.DataFrame(found).drop_duplicates()


def draw_chart(records: Sequence[Record], kind: str, path: Path) -> None:
    """Write the plot of a kind, a panel each for tasks or what else the chart tells apart.

    Raises:
        DataError: no record has a chart of that kind, or none has a figure to draw.
        RbenchError: matplotlib is not installed, or the file cannot be written.
    """
    known = charts_of(records)
    if kind not in known:
        raise DataError(unknown("kind of plot", kind, known))
    chart = next(chart for chart in known[kind][0].cell.charts if chart.kind == kind)
    found = lines(chart, [record for record in known[kind] if chart in record.cell.charts])
    if not found:
        raise DataError(f"nothing to plot: no cell that ended ok has {' or '.join(chart.y)}")
    panels = list(dict.fromkeys(line.panel for line in found))
    labels = list(dict.fromkeys(line.label for line in found))
    figures = {line.figure: line.title for line in found}
    columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    rows = -(-len(panels) // columns)
    sizes = sorted({float(x) for line in found for x in line.points.index})
    picture = new_plot(4.6 * columns + 0.6, 3.4 * rows + 0.5 + 0.2 * (len(labels) + len(figures)))
    axes = list(picture.subplots(rows, columns, squeeze=False, sharey=True).flat)
    handles = {}
    for place, part in zip(panels, axes, strict=False):
        part.set_title(plain_label(place), loc="left", fontsize="small")
        for line in (line for line in found if line.panel == place):
            look = _look(labels.index(line.label), list(figures).index(line.figure))
            x = line.points.index.to_numpy(float)
            (drawn,) = part.plot(x, line.points["median"], **look)
            part.fill_between(x, line.points["low"], line.points["high"], color=look["color"], alpha=0.15, linewidth=0)
            handles[_legend(line, figures)] = drawn
        part.set_xlabel(chart.x_title or chart.x)
        part.grid(visible=True, which="major", alpha=0.3)
        part.set(**{f"{axis}scale": "log" for axis in chart.logarithmic})
        label_plainly(part.xaxis, part.yaxis)
        if len(sizes) <= FEW:
            part.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
    for part in axes[len(panels) :]:
        part.remove()
    for part in picture.axes[::columns]:
        part.set_ylabel(chart.y_title or ", ".join(figures.values()))
    picture.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize="small", frameon=False)
    save_plot(picture, path, dpi=130)


def _look(line: int, figure: int) -> Mapping[str, Any]:
    """Colour by line, dash by figure, and a mark that can be told apart without colour."""
    return {
        "color": f"C{line % 10}",
        "linestyle": DASHES[figure % len(DASHES)],
        "marker": "os^vDPX*<>"[line % 10],
        "markersize": 4,
        "linewidth": 1.4,
    }


def _legend(line: Line, figures: Mapping[str, str]) -> str:
    return plain_label(line.label if len(figures) == 1 else f"{line.label}: {line.title}")
