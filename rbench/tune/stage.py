"""A stage of a tune, trials or confirmations: cells judged on a validation split, entered in a journal as they end."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TypeAlias, get_args

from rbench.run import Cell, Display, Record, Training, run_cells
from rbench.run.gate import Gate
from rbench.run.local import LocalExecutor
from rbench.run.machine import CellLimits
from rbench.run.record import Status, read_record
from rbench.tune.journal import Journal
from rbench.tune.plan import Search
from rbench.tune.request import TuneRequest
from rbench.tune.selection import score
from rbench.tune.sobol import Point

ANY_END: tuple[Status, ...] = get_args(Status)
"""However a trial ended, it counts: it is not run again."""

Tried: TypeAlias = list[tuple[Point, Training]]
"""What a search tries, in order: each point with its cell; points of a space of choices only may share a cell."""


class Stage:
    """Cells of every search, with their journal, in a run of its own.

    Args:
        folder: of the run; made when cells run.
        tried: points and cells of each search.
        display: shows its progress.
    """

    def __init__(self, folder: Path, tried: list[tuple[Search, Tried]], display: Display) -> None:
        self._folder, self._tried, self._display = folder, tried, display
        self._journal = Journal(folder / "optuna.log", display.warn)

    def strangers(self) -> list[Search]:
        """Searches whose journal has cells that are not this stage's."""
        return [one for one, tried in self._tried if set(self._journal.seconds(one)) - {c.key for _, c in tried}]

    def run(self, request: TuneRequest) -> dict[str, Record]:
        """Run the cells that have no record, and enter all.

        Returns:
            The records by the keys of their cells.
        """
        cells = list({cell.key: cell for _, tried in self._tried for _, cell in tried}.values())
        if not cells:
            return {}
        self._folder.mkdir(parents=True, exist_ok=True)
        for cell in cells:
            record = read_record(self._folder, cell)
            if record is not None:  # an earlier command may have stopped before entering it
                self._enter(record, sum(record.figures.get("phase_seconds", {}).values()))
        records = run_cells(
            cells,
            self._folder,
            _Timed(self._display, self._enter),
            request=request.model_dump(),
            executor=LocalExecutor(request.jobs),
            # The runs of the best settings measure memory.
            limits=CellLimits(timeout=request.timeout, memory_limit=request.memory_limit, memory_pass=False),
            keep=ANY_END,
            replaces=True,
        )
        return {record.cell.key: record for record in records}

    def seconds(self, search: Search) -> float:
        """Wall time of the cells of a search."""
        mine = {cell.key for one, tried in self._tried if one == search for _, cell in tried}
        return sum(seconds for key, seconds in self._journal.seconds(search).items() if key in mine) if mine else 0.0

    def _enter(self, record: Record, seconds: float) -> None:
        """Enter a record into the journal, unless it is there."""
        for search, tried in self._tried:
            mine = [point for point, cell in tried if cell == record.cell]
            if mine and record.cell.key not in self._journal.seconds(search):
                self._journal.add(search, mine[0], record, score(record, search.figure), seconds)


class _Timed(Display):
    """Passes everything on to a display, and each record with the seconds since the last one to a function."""

    def __init__(self, shown: Display, tell: Callable[[Record, float], None]) -> None:
        self._shown, self._tell = shown, tell
        self._last = monotonic()

    def start(self, cells: int, kept: int) -> None:
        self._shown.start(cells, kept)

    def step(self, cell: Cell, done: int, total: int) -> None:
        self._shown.step(cell, done, total)

    def gate(self, gate: Gate) -> None:
        self._last = monotonic()
        self._shown.gate(gate)

    def warn(self, text: str) -> None:
        self._shown.warn(text)

    def end(self, record: Record) -> None:
        now = monotonic()
        self._tell(record, now - self._last)
        self._last = now
        self._shown.end(record)
