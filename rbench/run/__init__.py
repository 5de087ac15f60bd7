"""Running: plan, cell, worker, record."""

from rbench.run.cell import Budget, Cell
from rbench.run.record import FIELDS, Record, read_records
from rbench.run.request import Request
from rbench.run.session import Display, Run, check, run
from rbench.run.suite import CostSuite, Entry, Suite

__all__ = [
    "FIELDS",
    "Budget",
    "Cell",
    "CostSuite",
    "Display",
    "Entry",
    "Record",
    "Request",
    "Run",
    "Suite",
    "check",
    "read_records",
    "run",
]
