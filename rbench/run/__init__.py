"""Running: request, cells, worker processes, records."""

from rbench.bounds import MAX_CELLS
from rbench.experiment import Cell
from rbench.run.display import Display
from rbench.run.record import Record, read_records
from rbench.run.request import Request
from rbench.run.session import Run, check, run, run_cells
from rbench.run.suite import Suite
from rbench.run.training_suite import Entry, TrainingSuite
from rbench.run.tuned import Tuned, TunedFile, read_tuned
from rbench.train.budget import Budget
from rbench.train.cell import FIELDS, Training

__all__ = [
    "FIELDS",
    "MAX_CELLS",
    "Budget",
    "Cell",
    "Display",
    "Entry",
    "Record",
    "Request",
    "Run",
    "Suite",
    "Training",
    "TrainingSuite",
    "Tuned",
    "TunedFile",
    "check",
    "read_records",
    "read_tuned",
    "run",
    "run_cells",
]
