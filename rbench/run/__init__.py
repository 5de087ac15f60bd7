"""Running: request, cells, worker processes, records."""

from rbench.run.bounds import MAX_CELLS
from rbench.run.check import check
from rbench.run.display import Display
from rbench.run.record import FIELDS, Record, read_records
from rbench.run.request import Request
from rbench.run.session import Run, run, run_cells
from rbench.run.suite import CostSuite, Entry, Suite
from rbench.run.tuned import Tuned, TunedFile, read_tuned
from rbench.train.cell import Budget, Cell

__all__ = [
    "FIELDS",
    "MAX_CELLS",
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
