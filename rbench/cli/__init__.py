"""The command line: one command per file. Heavy imports wait until a command runs, so that `rbench --help` is quick."""

from rbench.cli.program import app, main

# A command registers itself on the app when its file is imported; the help shows commands in this order.
from rbench.cli import run, tune, list, verify, table, plot, report, compare, data, sys_info  # isort: skip

__all__ = ["app", "compare", "data", "list", "main", "plot", "report", "run", "sys_info", "table", "tune", "verify"]
