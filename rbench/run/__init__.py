"""Running: plan, cell, worker, record."""

from rbench.run.cell import Budget, Cell
from rbench.run.record import FIELDS, Record, read_records
from rbench.run.request import Request
from rbench.run.session import Display, Run, check, run, run_cells
from rbench.run.suite import CostSuite, Entry, Suite
from rbench.run.tuned import Tuned, TunedFile, read_tuned

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
    "Tuned",
    "TunedFile",
    "check",
    "read_records",
    "read_tuned",
    "run",
    "run_cells",
]
