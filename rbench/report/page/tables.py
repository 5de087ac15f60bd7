"""The tables of a page: one for each kind of record, over seeds and cell by cell."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from rbench.figures import SECONDS_TO_TARGET, Figure
from rbench.report.frame import grouped, raw_rows
from rbench.report.labels import names
from rbench.report.page.beside import shared_notes
from rbench.report.page.runs import ReportedRun
from rbench.report.page.sheets import Line, Sheet, sheet
from rbench.report.page.standings import standings
from rbench.report.tables import KINDS, OTHER
from rbench.run.record import Record
from rbench.train.cell import FIELDS

SHOWN_APART = ("status", "reason", "memory_reason", "device", "size", "rounds")
"""Fields of rows that are neither settings of a cell nor results in words."""


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
    said: dict[str, list[str]] = {}
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
        said[runs[run].name] = notes_on(records, "html")
    notes = shared_notes(said)
    cell = owned[0][0].cell
    figures = cell.figures
    main = _main(figures, of_training=fields == FIELDS)
    words = set(cell.fields) - set(dict(cell)) - set(SHOWN_APART)
    kinds = " and ".join(dict.fromkeys(record.cell.name for record, *_ in owned))
    made = partial(
        sheet,
        lines=lines,
        figures=figures,
        names=[run.name for run in runs],
        labels=names(record.cell for record, *_ in owned),
        main=main,
        words=words,
    )
    over = made(f"Comparison: {kinds}", over_seeds=True, marks=marks, notes=notes)
    if len(over.rows) == len(lines):
        return [over]
    return [over, made(f"Every cell: {kinds}", over_seeds=False)]


def _main(figures: Sequence[Figure], *, of_training: bool) -> set[str]:
    """Figures that a table shows at first: those with a title.

    Of training, which has many, those that runs are always compared in, and the time to the target.
    """
    titled = [figure for figure in figures if figure.title]
    if of_training:
        titled = [one for one in titled if one.compared == "always" or one == SECONDS_TO_TARGET]
    return {figure.name for figure in titled}


def _ordered(lines: list[Line], ranks: Sequence[tuple[bool, float]]) -> list[Line]:
    """The best first within each task, and failures last."""
    tasks = list(dict.fromkeys(line.row["task"] for line in lines))
    pairs = sorted(zip(lines, ranks, strict=True), key=lambda pair: (tasks.index(pair[0].row["task"]), *pair[1]))
    return [line for line, _ in pairs]
