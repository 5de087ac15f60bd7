"""The page: runs as one HTML file that needs no network."""

from rbench.report.page.document import render_page
from rbench.report.page.files import check_page, save_page
from rbench.report.page.runs import ReportedRun, read_runs

__all__ = ["ReportedRun", "check_page", "read_runs", "render_page", "save_page"]
