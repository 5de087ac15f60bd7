"""The tables of a page: one for each kind of record, over seeds and cell by cell."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rbench.figures import Figure
from rbench.report.frame import grouped, raw_rows
from rbench.report.page.runs import ReportedRun
from rbench.report.page.sheets import Line, Sheet, sheet
from rbench.report.page.standings import standings
from rbench.report.tables import KINDS, OTHER
from rbench.run.record import Record
from rbench.train.cell import FIELDS


def tables_of(runs: Sequence[ReportedRun], starts: Sequence[int]) -> list[dict[str, Any]]:
    """The tables of all runs as plain data.

    Args:
        runs: the runs.
        starts: the place of each run's first record among all records of the page.
    """
    owned = [(record, start + n, place) for place, (run, start) in enumerate(zip(runs, starts, strict=False))
             for n, record in enumerate(run.records)]  # fmt: skip
    tables: list[Sheet] = []
    for fields, own in grouped(owned, lambda one: one[0].cell.fields).items():
        tables += _kind(fields, own, runs)
    return [asdict(table) for table in tables]


def _kind(
    fields: tuple[str, ...], owned: Sequence[tuple[Record, int, int]], runs: Sequence[ReportedRun]
) -> list[Sheet]:
    """The tables of records of one kind: over seeds where there are several, and of each cell."""
    lines: list[Line] = []
    marks: dict[tuple[int, str], str] = {}
    notes: list[str] = []
    _, notes_on = KINDS.get(fields, OTHER)
    rows = raw_rows([record for record, *_ in owned])
    by_run = grouped(zip(owned, rows, strict=True), lambda pair: pair[0][2])
    for run, found in by_run.items():
        own = [one for one, _ in found]
        records = [record for record, *_ in own]
        own_lines = [Line(row, place, run) for (_, place, _), row in found]
        if fields == FIELDS:
            stand = standings(records)
            marks |= {(own[place][1], name): mark for (place, name), mark in stand.marks.items()}
            own_lines = _ordered(own_lines, stand.ranks)
        lines += own_lines
        said = notes_on(records)
        notes += [f"{runs[run].name}: {note}" for note in said] if len(by_run) > 1 else said
    figures: tuple[Figure, ...] = owned[0][0].cell.figures
    names = [run.name for run in runs]
    kinds = " and ".join(dict.fromkeys(record.cell.name for record, *_ in owned))
    over = sheet(f"Comparison: {kinds}", lines, figures, names, over_seeds=True, marks=marks, notes=notes)
    if len(over.rows) == len(lines):
        return [over]
    return [over, sheet(f"Every cell: {kinds}", lines, figures, names, over_seeds=False)]


def _ordered(lines: list[Line], ranks: Sequence[tuple[bool, float]]) -> list[Line]:
    """The best first within each task, and failures last."""
    tasks = list(dict.fromkeys(line.row["task"] for line in lines))
    pairs = sorted(zip(lines, ranks, strict=True), key=lambda pair: (tasks.index(pair[0].row["task"]), *pair[1]))
    return [line for line, _ in pairs]
