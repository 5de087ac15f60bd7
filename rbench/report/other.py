"""The table of an experiment that has none of its own: from what it declares, its fields, figures and charts."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rbench.figures import Figure, significant
from rbench.report.charts import exponents
from rbench.report.environments import environment_notes, environments
from rbench.report.footnotes import machines
from rbench.report.frame import Row, ends, grouped, raw_rows
from rbench.report.table import Format, end_in_words, raw, with_interval, written
from rbench.run.record import Record, plain

ROW = ("status", "reason", "environment")
"""Fields of every row, whatever its experiment."""


def render_other(records: list[Record], form: Format) -> str:
    """Rows in a form: a line for all seeds of a setting, with the median and range of its figures; then exponents.

    Settings that are the same in every row are left out, and so are figures without a title. Fields that are neither
    settings nor figures stand last, all their values listed.
    """
    if form == "json" or form == "csv":
        return raw([plain(row) for row in raw_rows(records)], form)
    figures = records[0].cell.figures
    shown = comparison(records)
    parts = [written(shown, form, {figure.head for figure in figures} | _numbers(records))]
    fitted = exponents(records)
    if len(fitted):
        parts.append(written(fitted, form, {"exponent"}))
    return "\n\n".join(parts)


def other_notes(records: list[Record]) -> list[str]:
    """What the numbers are, and where they come from."""
    labels, words = environments(records)
    seeds = {getattr(record.cell, "seed", 0) for record in records}
    about = [f"Figures are medians over {len(seeds)} seeds, with their range."] if len(seeds) > 1 else []
    if len(exponents(records)):
        about.append("exponent: p of a figure that grows as xᵖ, by least squares, with its 95 % interval.")
    return [*about, *environment_notes(words), *machines(records, labels)]


def comparison(records: list[Record]) -> pd.DataFrame:
    """The rows as text, as `render_other` says."""
    rows = [plain(row) for row in raw_rows(records)]
    figures = {figure.name: figure for figure in records[0].cell.figures}
    words = [name for name in records[0].cell.fields if name not in (*ROW, *figures, *dict(records[0].cell))]
    settings = [name for name in rows[0] if name not in (*figures, *words, "seed", "status", "reason")]
    groups = list(grouped(rows, lambda row: tuple(row[name] for name in settings)).values())
    shown: dict[str, list[str]] = {}
    for name in settings:
        values = [group[0][name] for group in groups]
        if any(value is not None for value in values) and (len(groups) == 1 or len(set(map(str, values))) > 1):
            shown[name] = [_word(value) for value in values]
    for figure in figures.values():
        if figure.title and any(row[figure.name] is not None for row in rows):
            shown[figure.head] = [_figure(figure, group) for group in groups]
    for name in words:
        shown[name] = [", ".join(dict.fromkeys(_word(row[name]) for row in group)) for group in groups]
    status = [end_in_words(ends(group)) for group in groups]
    if set(status) != {"ok"}:
        shown["status"] = status
    return pd.DataFrame(shown)


def _numbers(records: Sequence[Record]) -> set[str]:
    """Settings that are numbers."""
    return {name for name, value in records[0].cell if isinstance(value, int | float) and not isinstance(value, bool)}


def _figure(figure: Figure, group: list[Row]) -> str:
    known = pd.Series([row[figure.name] for row in group if row[figure.name] is not None], dtype=float)
    if known.empty:
        return "–"
    return with_interval(float(known.median()), float(known.min()), float(known.max()), figure.unit.write)


def _word(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return significant(value) if isinstance(value, float) else str(value)
