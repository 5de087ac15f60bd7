"""Tables of records."""

from rbench.report.frame import rows, summary
from rbench.report.table import Format, comparison, footnotes, render

__all__ = ["Format", "comparison", "footnotes", "render", "rows", "summary"]
