"""How long cells will take, by what similar cells took."""

import os
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rbench.errors import RbenchError
from rbench.experiment import Cell
from rbench.run.record import FINAL, Record, find
from rbench.run.run_file import NAME
from rbench.spec import parse
from rbench.train.budget import Budget
from rbench.train.cell import Training

DEEPEST = 3
"""Folders below which runs are looked for."""

LEAST_EVALUATIONS = 11
"""Evaluations of a budget that names no number: the start, and ten at least."""


class Estimate(NamedTuple):
    """How long cells will take one after the other.

    Attributes:
        cells: how many.
        known: of how many the time is estimated from similar cells.
        alone: of how many of these from one similar cell, which tells no width.
        low: seconds of these, where each takes as long as the quickest similar cell.
        middle: by the medians of similar cells.
        high: by the slowest.
    """

    cells: int
    known: int
    alone: int
    low: float
    middle: float
    high: float


def runs_below(folders: Iterable[Path]) -> list[Path]:
    """Directories of runs: the given ones and those in them, each once."""
    found: dict[Path, None] = {}
    for folder in folders:
        for place, below, names in os.walk(folder):
            depth = len(Path(place).relative_to(folder).parts)
            below[:] = [name for name in sorted(below) if depth < DEEPEST and name != "cells"]
            if NAME in names:
                found[Path(place).resolve()] = None
    return list(found)


def records_below(folders: Iterable[Path]) -> Iterator[Record]:
    """Records of runs whose time is known; what cannot be read is passed over, for an estimate only."""
    for directory in runs_below(folders):
        try:
            yield from (one for one in find(directory).records if one.wall_seconds is not None and one.status in FINAL)
        except RbenchError:
            continue


def estimate(cells: Collection[Cell], records: Iterable[Record]) -> Estimate:
    """Estimate cells by records of similar ones.

    Training cells are similar where task, method's name, backend, device and dtype are the same, and those of the same
    settings go before others; the time of steps and of evaluations is scaled to the budget, the rest of the time, such
    as that of starting the process, is not. Other cells are similar where they differ in suite, seed and threads alone.
    """
    alike: dict[Hashable, list[Record]] = {}
    for record in records:
        for key in _keys(record.cell):
            alike.setdefault(key, []).append(record)
    found = []
    for cell in cells:
        every = [_seconds(cell, alike.get(key, ())) for key in _keys(cell)]
        if seconds := next(filter(None, every), None):
            found.append(seconds)
    middle = sum(median(seconds) for seconds in found)
    alone = sum(len(seconds) == 1 for seconds in found)
    return Estimate(len(cells), len(found), alone, sum(map(min, found)), middle, sum(map(max, found)))


def _keys(cell: Cell) -> list[Hashable]:
    """What similar cells share: the narrower similarity first."""
    if isinstance(cell, Training):
        place = cell.task, cell.backend, cell.device, cell.dtype
        return [(cell.name, *place, cell.method), (cell.name, *place, parse(cell.method)[0])]
    settings = cell.model_dump(exclude={"suite", "seed", "threads"})
    return [(cell.name, repr(settings))]


def _seconds(cell: Cell, records: Sequence[Record]) -> list[float]:
    """How long a cell would take by each of some records that say it."""
    if not isinstance(cell, Training):
        return [record.wall_seconds for record in records if record.wall_seconds is not None]
    per_epoch = next(filter(None, map(_steps_per_epoch, records)), None)
    return [took for record in records if (took := _scaled(record, cell.budget, per_epoch)) is not None]


def _steps_per_epoch(record: Record) -> float | None:
    epochs, steps = record.training.budget.epochs, record.figures.get("steps")
    return steps / epochs if epochs and steps and record.status == "ok" else None


def _scaled(record: Record, budget: Budget, per_epoch: float | None) -> float | None:
    """Seconds of a record's cell with another budget; None where they do not follow from it."""
    phases, steps = record.figures.get("phase_seconds", {}), record.figures.get("steps")
    if record.training.budget == budget:
        return record.wall_seconds
    if record.wall_seconds is None or not steps or not record.history or "step" not in phases:
        return None
    stepping = budget.seconds
    if stepping is None:
        wanted = budget.steps or (budget.epochs and per_epoch and budget.epochs * per_epoch)
        stepping = wanted and phases["step"] / steps * wanted
    evaluating = phases.get("evaluation", 0.0)
    rest = record.wall_seconds - phases["step"] - evaluating
    evaluations = budget.evaluations or max(LEAST_EVALUATIONS, 1 + (budget.epochs or 0))
    return None if not stepping else rest + stepping + evaluating / len(record.history) * evaluations
