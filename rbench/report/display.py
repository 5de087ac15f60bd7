"""How a run shows itself: a progress bar with an estimate on a terminal, a line per cell elsewhere."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rbench.experiment import Cell
from rbench.run.display import Display
from rbench.run.gate import Gate
from rbench.run.record import Record
from rbench.text import visible


class RunDisplay(Display):
    """A bar over all cells and one for each that runs; where the console is no terminal, a line for each that ended."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._overall = progress.add_task("all cells")
        self._cells = self._ended = 0
        self._running: dict[Cell, TaskID] = {}
        self._lock = threading.Lock()

    def start(self, cells: int, kept: int) -> None:
        if kept:
            say(self._console, f"cells from an earlier run: {kept}; to run: {cells}")
        self._cells = cells
        self._ended = 0
        self._progress.reset(self._overall, total=cells)
        self._progress.start()

    def gate(self, gate: Gate) -> None:
        say(self._console, str(gate))

    def step(self, cell: Cell, done: int, total: int) -> None:
        with self._lock:
            if cell not in self._running:
                self._running[cell] = self._progress.add_task(visible(cell.title))
            self._progress.update(self._running[cell], completed=done, total=total)

    def end(self, record: Record) -> None:
        with self._lock:
            if (bar := self._running.pop(record.cell, None)) is not None:
                self._progress.remove_task(bar)
            self._progress.advance(self._overall)
            self._ended += 1
        if not self._console.is_terminal:
            say(self._console, f"[{self._ended}/{self._cells}] {_line(record)}")
        elif record.status != "ok":
            say(self._console, _line(record))

    def warn(self, text: str) -> None:
        say(self._console, f"warning: {text}")


def bars(console: Console) -> Progress:
    """Bars with counts, elapsed and remaining time, which go away at the end; none where the console is no terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def display(console: Console) -> Iterator[RunDisplay]:
    """A run's progress, shown while the block runs; bars appear with the first cell."""
    progress = bars(console)
    try:
        yield RunDisplay(console, progress)
    finally:
        progress.stop()


def say(console: Console, text: str) -> None:
    """Print a line literally."""
    console.print(visible(text), markup=False, emoji=False, highlight=False, soft_wrap=True)


def _line(record: Record) -> str:
    words = record.reason or (record.cell.words(record.figures) if record.status == "ok" else "")
    return f"{record.cell.title}: {record.status}" + (f", {words}" if words else "")
