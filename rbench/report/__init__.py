"""Tables of records."""

from rbench.report.cost import cost_rows, is_cost
from rbench.report.footnotes import footnotes
from rbench.report.frame import history, rows, summary
from rbench.report.page import page
from rbench.report.scaling import plot_sweeps, series_of
from rbench.report.table import Format, comparison, render, render_history, with_notes, written_notes

__all__ = [
    "Format",
    "comparison",
    "cost_rows",
    "footnotes",
    "history",
    "is_cost",
    "page",
    "plot_sweeps",
    "render",
    "render_history",
    "rows",
    "series_of",
    "summary",
    "with_notes",
    "written_notes",
]
