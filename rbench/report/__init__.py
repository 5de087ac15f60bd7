"""Tables of records."""

from rbench.report.footnotes import footnotes
from rbench.report.frame import history, rows, summary
from rbench.report.table import Format, comparison, render

__all__ = ["Format", "comparison", "footnotes", "history", "render", "rows", "summary"]
