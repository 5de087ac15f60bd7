"""How a run shows itself: a progress bar with an estimate on a terminal, a line a cell elsewhere."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from rbench.experiment import Cell
from rbench.report.footnotes import footnotes
from rbench.report.table import comparison
from rbench.run.display import Display
from rbench.run.gate import Gate
from rbench.run.record import Record
from rbench.text import visible


class PlainDisplay(Display):
    """One line for each cell that ended, on standard error."""

    def __init__(self, console: Console) -> None:
        self._console, self._cells, self._ended = console, 0, 0

    def start(self, cells: int, kept: int) -> None:
        self._cells, self._ended = cells, 0
        if kept:
            say(self._console, f"cells from an earlier run: {kept}; to run: {cells}")

    def gate(self, gate: Gate) -> None:
        say(self._console, str(gate))

    def step(self, cell: Cell, done: int, total: int) -> None:
        """Nothing: only ends are shown."""

    def end(self, record: Record) -> None:
        self._ended += 1
        say(self._console, f"[{self._ended}/{self._cells}] {_line(record)}")

    def warn(self, text: str) -> None:
        say(self._console, f"warning: {text}")


class BarDisplay(Display):
    """A bar over all cells and one for each that runs, with elapsed and remaining time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = _bars(console)
        self._overall: TaskID | None = None
        self._running: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def start(self, cells: int, kept: int) -> None:
        if kept:
            say(self._console, f"cells from an earlier run: {kept}; to run: {cells}")
        if self._overall is not None:  # one bar after another
            self._progress.remove_task(self._overall)
        self._overall = self._progress.add_task("all cells", total=cells)
        self._progress.start()

    def gate(self, gate: Gate) -> None:
        say(self._console, str(gate))

    def step(self, cell: Cell, done: int, total: int) -> None:
        with self._lock:
            if cell.key not in self._running:
                self._running[cell.key] = self._progress.add_task(_markup(cell.title))
            self._progress.update(self._running[cell.key], completed=done, total=total)

    def end(self, record: Record) -> None:
        with self._lock:
            task = self._running.pop(record.cell.key, None)
            if task is not None:
                self._progress.remove_task(task)
            if self._overall is not None:
                self._progress.advance(self._overall)
        if record.status != "ok":
            say(self._console, _line(record))

    def warn(self, text: str) -> None:
        say(self._console, f"warning: {text}")

    def stop(self) -> None:
        """Take the bars away."""
        self._progress.stop()


def _bars(console: Console) -> Progress:
    """Bars with counts, elapsed and remaining time, which go away at the end."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class Bar:
    """One bar over things of a kind."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._task = progress, progress.add_task("", total=total)

    def describe(self, words: str) -> None:
        """Say what is being done."""
        self._progress.update(self._task, description=_markup(words))

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self._progress.advance(self._task, count)


@contextmanager
def progress_bar(console: Console, total: int) -> Iterator[Bar]:
    """A bar while the block runs; nothing is shown where the console is no terminal."""
    progress = _bars(console)
    progress.disable = not console.is_terminal
    with progress:
        yield Bar(progress, total)


@contextmanager
def display(console: Console) -> Iterator[PlainDisplay | BarDisplay]:
    """The display that suits the console, taken away at the end."""
    if not console.is_terminal:
        yield PlainDisplay(console)
        return
    bars = BarDisplay(console)
    try:
        yield bars
    finally:
        bars.stop()


def print_table(console: Console, records: list[Record]) -> None:
    """The comparison on a terminal, a table for each task, with footnotes."""
    shown = comparison(records)
    for task, part in shown.groupby("task", sort=False):
        table = Table(title=_markup(str(task)), title_justify="left")
        rest = part.drop(columns="task")
        for name in rest.columns:
            words = name in ("method", "status", "backend", "suite", "device", "dtype", "fixed", "environment", "data")
            table.add_column(name, justify="left" if words else "right", overflow="fold")
        for values in rest.to_numpy():
            table.add_row(*(_markup(str(value)) for value in values))
        console.print(table)
    for note in footnotes(records):
        say(console, note)


def say(console: Console, text: str) -> None:
    """Print a line as it is, whatever it says."""
    console.print(visible(text), markup=False, emoji=False, highlight=False, soft_wrap=True)


def _markup(text: str) -> str:
    """Text for what reads rich's markup."""
    return escape(visible(text))


def _line(record: Record) -> str:
    cell = record.cell
    where = cell.title
    found = record.cell.words(record.figures) if record.status == "ok" else ""
    return f"{where}: {record.status}" + (f", {record.reason or found}" if record.reason or found else "")
