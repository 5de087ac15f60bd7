"""What a run tells of itself while it goes on."""

from typing import Protocol

from rbench.experiment import Cell
from rbench.run.gate import Gate
from rbench.run.record import Record


class Display(Protocol):
    """Shows how a run goes on."""

    def start(self, cells: int, kept: int) -> None:
        """Called before the first cell, with the number of cells to run, and of those that an earlier run left."""

    def step(self, cell: Cell, done: int, total: int) -> None:
        """Called from any thread while a cell trains."""

    def gate(self, gate: Gate) -> None:
        """Called when the equivalence cases of a backend have run."""

    def end(self, record: Record) -> None:
        """Called when a cell has its record."""

    def warn(self, text: str) -> None:
        """Called with what a user should know, and nothing stops for."""
