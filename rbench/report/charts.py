"""Charts that experiments declare: their lines, and the exponents of these."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import pandas as pd

from rbench.charts import Chart
from rbench.report.frame import raw_rows
from rbench.report.scaling import exponent
from rbench.run.record import Record

PLACE = ("suite", "backend", "device", "dtype", "threads", "environment")
"""Fields that tell lines apart too, where rows differ in them."""


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
