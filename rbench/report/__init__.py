"""Tables of records."""

from rbench.report.cost import cost_footnotes, cost_rows, render_costs
from rbench.report.footnotes import footnotes
from rbench.report.forms import written_notes
from rbench.report.frame import history, rows, summary
from rbench.report.scaling import series_of
from rbench.report.table import Format, comparison, render, render_history
from rbench.report.tables import render_tables

__all__ = [
    "Format",
    "comparison",
    "cost_footnotes",
    "cost_rows",
    "footnotes",
    "history",
    "render",
    "render_costs",
    "render_history",
    "render_tables",
    "rows",
    "series_of",
    "summary",
    "written_notes",
]
