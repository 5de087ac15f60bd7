"""A stage of a tune, trials or confirmations: cells judged on a validation split, entered in a journal as they end."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import get_args

from rbench.run import Cell, Display, Record, run_cells
from rbench.run.gate import Gate
from rbench.run.local import LocalExecutor
from rbench.run.machine import CellLimits
from rbench.run.record import Status, read_record
from rbench.tune.journal import Journal
from rbench.tune.plan import Search, Trial
from rbench.tune.request import TuneRequest
from rbench.tune.selection import score

ANY_END: tuple[Status, ...] = get_args(Status)
"""However a trial ended, it counts: it is not run again."""


class Stage:
    """Trials of every search, in order, with their journal, in a run of its own; its folder is made when cells run."""

    def __init__(self, folder: Path, trials: Sequence[Trial], display: Display) -> None:
        self._folder = folder
        self._trials = trials
        self._display = display
        self._journal = Journal(folder / "optuna.log", display.warn)
        self._ended: dict[str, Record] = {}

    def of(self, search: Search) -> list[Trial]:
        """The trials of a search, in their order."""
        return [trial for trial in self._trials if trial.search.name == search.name]

    def has_strangers(self, search: Search) -> bool:
        """Whether the journal has cells of a search that are not this stage's."""
        return bool(self._journal.seconds(search).keys() - {trial.cell.key for trial in self.of(search)})

    def run(self, request: TuneRequest) -> None:
        """Run the cells that have no record, and enter all."""
        cells = list({trial.cell.key: trial.cell for trial in self._trials}.values())
        if not cells:
            return
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
        self._ended = {record.cell.key: record for record in records}

    def records(self, search: Search) -> list[Record]:
        """The records of a search's trials, in the same order, once the stage has run."""
        return [self._ended[trial.cell.key] for trial in self.of(search)]

    def seconds(self, search: Search) -> float:
        """Wall time of a search's cells."""
        keys = {trial.cell.key for trial in self.of(search)}
        return sum(seconds for key, seconds in self._journal.seconds(search).items() if key in keys) if keys else 0.0

    def _enter(self, record: Record, seconds: float) -> None:
        """Enter a record into the journal, unless it is there."""
        for trial in self._trials:
            if trial.cell == record.cell and record.cell.key not in self._journal.seconds(trial.search):
                self._journal.add(trial, record.status, score(record, trial.search.figure), seconds)


class _Timed(Display):
    """Passes everything on to a display, and each record with the seconds since the last one to a function."""

    def __init__(self, shown: Display, tell: Callable[[Record, float], None]) -> None:
        self._shown = shown
        self._tell = tell
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
