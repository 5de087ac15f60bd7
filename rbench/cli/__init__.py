"""The command line: one command per file. Heavy imports wait until a command runs, so that `rbench --help` is quick."""

from rbench.cli.program import app, main

# A command registers itself on the app when its file is imported; the help shows commands in this order.
from rbench.cli import (  # isort: skip
    run, tune, list, verify, table, plot, report, compare, bundle, reproduce, merge, new, data, sys_info,
)  # fmt: skip

__all__ = [
    "app", "bundle", "compare", "data", "list", "main", "merge", "new", "plot", "report", "reproduce", "run",
    "sys_info", "table", "tune", "verify",
]  # fmt: skip
