"""The command line: one command per file. Heavy imports wait until a command runs, so that `rbench --help` is quick."""

from rbench.cli.program import app, main

# A command registers itself on the app when its file is imported; the help shows commands in this order.
# isort: off
from rbench.cli import run
from rbench.cli import tune
from rbench.cli import list
from rbench.cli import verify
from rbench.cli import table
from rbench.cli import compare
from rbench.cli import data
from rbench.cli import sys_info
# isort: on

__all__ = ["app", "compare", "data", "list", "main", "run", "sys_info", "table", "tune", "verify"]
