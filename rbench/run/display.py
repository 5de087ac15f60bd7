"""How a run reports its progress."""

from typing import Protocol

from rbench.experiment import Cell
from rbench.run.gate import Gate
from rbench.run.record import Record


class Display(Protocol):
    """Shows a run's progress."""

    def start(self, cells: int, kept: int) -> None:
        """Called before the first cell, with the numbers of cells to run and of cells kept from an earlier run."""

    def step(self, cell: Cell, done: int, total: int) -> None:
        """Called from any thread while a cell trains."""

    def gate(self, gate: Gate) -> None:
        """Called when the equivalence cases of a backend have run."""

    def end(self, record: Record) -> None:
        """Called when a cell has its record."""

    def warn(self, text: str) -> None:
        """Called with a warning, after which the run goes on."""
