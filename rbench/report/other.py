"""The table of an experiment that has none of its own: from what it declares, its fields, figures and charts."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rbench.figures import Figure, significant
from rbench.report.charts import exponents
from rbench.report.environments import environment_notes, environments
from rbench.report.footnotes import machines
from rbench.report.forms import Look, written
from rbench.report.frame import Row, ends, grouped, raw_rows
from rbench.report.labels import names
from rbench.report.layout import SPEC, USUAL, Table, View
from rbench.report.table import Format, end_briefly, raw, render_table
from rbench.report.value import Value
from rbench.run.record import Record, plain

ROW = ("status", "reason", "environment")
"""Fields of every row, whatever its experiment."""


def render_other(records: list[Record], form: Format, view: View = USUAL) -> str:
    """Rows in a form: a line for all seeds of a setting, with the median and range of its figures; then exponents.

    Settings that are the same in every row are left out, and so are figures without a title. Fields that are neither
    settings nor figures stand last, all their values listed.
    """
    if form == "json" or form == "csv":
        return raw([plain(row) for row in raw_rows(records)], form)
    parts = [render_table(comparison_table(records), form, view)]
    fitted = exponents(records)
    if len(fitted):
        parts.append(written(fitted, form, {"exponent"}))
    return "\n\n".join(parts)


def other_notes(records: list[Record], form: Look = "markdown") -> list[str]:
    """What the numbers are, and where they come from."""
    labels, words = environments(records)
    seeds = {getattr(record.cell, "seed", 0) for record in records}
    about = [f"Figures are medians over {len(seeds)} seeds, with their range."] if len(seeds) > 1 else []
    if len(exponents(records)):
        about.append("exponent: p of a figure that grows as xᵖ, by least squares, with its 95 % interval.")
    return [*about, *environment_notes(words), *machines(records, labels)]


def comparison(records: list[Record]) -> pd.DataFrame:
    """The rows as text, as `render_other` says."""
    table = comparison_table(records)
    return table.cells[list(table.usual)].map(str)


def comparison_table(records: list[Record]) -> Table:
    """The rows with all settings; usual are those that differ, or all of a single row."""
    rows = [plain(row) for row in raw_rows(records)]
    figures = {figure.name: figure for figure in records[0].cell.figures}
    words = [name for name in records[0].cell.fields if name not in (*ROW, *figures, *dict(records[0].cell))]
    settings = [name for name in rows[0] if name not in (*figures, *words, "seed", "status", "reason")]
    groups = list(grouped(rows, lambda row: tuple(row[name] for name in settings)).values())
    cells: dict[str, list[Any]] = {}
    usual = []
    for name in settings:
        values = [group[0][name] for group in groups]
        if any(value is not None for value in values):
            cells[name] = list(map(_word, values))
            usual += [name] if len(groups) == 1 or len(set(map(str, values))) > 1 else []
    _name(cells, records)
    measured = [one for one in figures.values() if one.title and any(row[one.name] is not None for row in rows)]
    cells |= {figure.head: [_figure(figure, group) for group in groups] for figure in measured}
    for name in words:
        cells[name] = [", ".join(dict.fromkeys(_word(row[name]) for row in group)) for group in groups]
    cells["status"] = [end_briefly(ends(group)) for group in groups]
    usual += [*(figure.head for figure in measured), *words, *(["status"] if set(cells["status"]) != {"ok"} else [])]
    known = {figure.head: figure for figure in measured} | _numbers(records)
    frame = pd.DataFrame({name: pd.Series(own, dtype=object) for name, own in cells.items()})
    return Table(frame, usual, {name: known[name] for name in known if name in frame})


def _name(cells: dict[str, list[Any]], records: list[Record]) -> None:
    """Put labels for the SPECs of tasks and methods, and keep the methods' SPECs."""
    named = names(record.cell for record in records)
    if "method" in cells:
        tasks = cells.get("task", [""] * len(cells["method"]))
        cells[SPEC] = cells["method"]
        cells["method"] = [named.methods[pair] for pair in zip(tasks, cells[SPEC], strict=True)]
    if "task" in cells:
        cells["task"] = [named.tasks[task] for task in cells["task"]]


def _numbers(records: Sequence[Record]) -> dict[str, Figure]:
    """Settings that are numbers, as figures of which neither direction is better."""
    numbers = ((name, value) for name, value in records[0].cell if isinstance(value, int | float))
    return {name: Figure(name, "size", name, better=None) for name, value in numbers if not isinstance(value, bool)}


def _figure(figure: Figure, group: list[Row]) -> Value | str:
    known = pd.Series([row[figure.name] for row in group if row[figure.name] is not None], dtype=float)
    if known.empty:
        return "–"
    return Value.of(float(known.median()), float(known.min()), float(known.max()), figure.unit.write)


def _word(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return significant(value) if isinstance(value, float) else str(value)
