"""A search: every trial of a plan that has not ended yet, each an ordinary cell in a fresh process."""

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import get_args

from rbench.errors import RbenchError
from rbench.run import Cell, Display, Record, TunedFile, run_cells
from rbench.run.gate import Gate
from rbench.run.lock import locked
from rbench.run.provenance import provenance
from rbench.run.record import Status, read_record, write_json
from rbench.tune.journal import Journal
from rbench.tune.judge import best, score
from rbench.tune.plan import Plan, Search
from rbench.tune.points import Point, need_optuna
from rbench.tune.request import TuneRequest

ANY_END: tuple[Status, ...] = get_args(Status)
"""However a trial ended, it counts: it is not run again."""


def search(request: TuneRequest, directory: Path, display: Display) -> TunedFile:
    """Run the trials that `directory` does not hold, and write `tuned.json`.

    Trials and their journal are in `directory/trials`, which is a run of its own.

    Args:
        request: what to tune.
        directory: made where it is not there.
        display: told how the trials go on.

    Returns:
        What was found, as it is in `tuned.json`.

    Raises:
        RbenchError: what is asked for cannot be tuned, or `directory` holds something else; nothing has been started.
    """
    need_optuna()
    plan = request.plan()
    trials = _Trials(plan)
    with locked(directory):
        _claim(directory, plan)
        folder = directory / "trials"
        journal = Journal(folder / "optuna.log")
        trials.check(journal)
        for cell in trials.cells:
            record = read_record(folder, cell)
            if record is not None:  # where an earlier command was stopped before it could enter it
                trials.enter(journal, record, sum(record.figures.get("phase_seconds", {}).values()))
        records = run_cells(
            trials.cells,
            folder,
            _Timed(display, lambda record, seconds: trials.enter(journal, record, seconds)),
            request=request.model_dump(),
            jobs=request.jobs,
            timeout=request.timeout,
            memory_limit=request.memory_limit,
            memory_pass=False,  # the runs of the best settings have it
            keep=ANY_END,
        )
        ended = {record.cell.key: record for record in records}
        tuned = TunedFile(
            suite=request.suite,
            tuned=tuple(
                best(one, plan, [ended[cell.key] for _, cell in pairs], sum(journal.seconds(one).values()))
                for one, pairs in trials.by_search
            ),
            provenance=provenance(),
        )
        write_json(directory / "tuned.json", tuned.model_dump())
        return tuned


class _Trials:
    """The trials of a plan.

    Attributes:
        by_search: each search with its points and their cells.
        cells: all cells; two points of a space of choices alone may have one.
    """

    def __init__(self, plan: Plan) -> None:
        self.by_search: list[tuple[Search, list[tuple[Point, Cell]]]] = [
            (search, [(point, search.trial(point)) for point in plan.points(search)]) for search in plan.searches
        ]
        self.cells = list({cell.key: cell for _, pairs in self.by_search for _, cell in pairs}.values())

    def check(self, journal: Journal) -> None:
        """Raise where the journal has a trial that is none of the plan's, though the plan is the same."""
        for search, pairs in self.by_search:
            if set(journal.seconds(search)) - {cell.key for _, cell in pairs}:
                raise RbenchError(
                    f"{search.name}: earlier trials are of other Sobol points, as another version of Optuna or SciPy "
                    "draws them; go on with the versions in tune.json, or name another directory with -o"
                )

    def enter(self, journal: Journal, record: Record, seconds: float) -> None:
        """Enter a record into the journal, unless it is there."""
        for search, pairs in self.by_search:
            mine = [point for point, cell in pairs if cell == record.cell]
            if mine and record.cell.key not in journal.seconds(search):
                journal.add(search, mine[0], record, score(record, search.figure), seconds)


class _Timed(Display):
    """Another display, and a function that is told every record with the seconds since the one before it."""

    def __init__(self, shown: Display, tell: Callable[[Record, float], None]) -> None:
        self._shown, self._tell, self._last = shown, tell, monotonic()

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


def _claim(directory: Path, plan: Plan) -> None:
    """Write the plan into the directory, in place of one of which no trial has ended.

    Raises:
        RbenchError: it holds a plan that this one does not continue, or something else.
    """
    path = directory / "tune.json"
    facts = plan.facts()
    way_out = "repeat that, or name another directory with -o"
    try:
        if (directory / "run.json").exists() and not path.exists():
            raise RbenchError(f"{directory} holds a run that is no tune; name another directory with -o")
        if any((directory / "trials" / "cells").glob("*.json")):
            old = json.loads(path.read_text())
            if changed := [name for name in {**old["facts"], **facts} if old["facts"].get(name) != facts.get(name)]:
                was, now = (one.get(changed[0], "none") for one in (old["facts"], facts))
                raise RbenchError(
                    f"{directory} holds a tune with {changed[0]}: {was}; this is another: {now}; {way_out}"
                )
            if old["trials"] > plan.trials:
                raise RbenchError(
                    f"{directory} holds a tune of {old['trials']} trials, more than {plan.trials}; {way_out}"
                )
        (directory / "trials").mkdir(parents=True, exist_ok=True)
        write_json(path, {"trials": plan.trials, "facts": facts, "provenance": provenance()})
    except OSError as error:
        raise RbenchError(f"cannot tune into {directory}: {error.strerror}; name another directory with -o") from None
    except (ValueError, KeyError, TypeError):
        raise RbenchError(f"{path} is damaged; name another directory with -o") from None
