"""Tables of records."""

from rbench.report.cost import cost_footnotes, cost_rows, is_cost, render_costs
from rbench.report.footnotes import footnotes
from rbench.report.frame import history, rows, summary
from rbench.report.scaling import plot_sweeps, series_of
from rbench.report.table import Format, comparison, render, render_history, written_notes

__all__ = [
    "Format",
    "comparison",
    "cost_footnotes",
    "cost_rows",
    "footnotes",
    "history",
    "is_cost",
    "plot_sweeps",
    "render",
    "render_costs",
    "render_history",
    "rows",
    "series_of",
    "summary",
    "written_notes",
]
