"""The comparison table: which columns it has, and its text in every form."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd

from rbench.figures import MEMORY, SECONDS_TO_TARGET, STEP_RATIO, TRAIN_SECONDS, TRAINING, Figure, columns, judging
from rbench.report.environments import environments
from rbench.report.forms import Look, written
from rbench.report.frame import history, raw_rows, rows, several_data, summary
from rbench.report.labels import names
from rbench.report.layout import SPEC, USUAL, Table, View, laid_out
from rbench.report.terminal import console_tables
from rbench.report.value import Value, shortened
from rbench.run.record import Record, plain
from rbench.text import csv, json_text

Format: TypeAlias = Literal["markdown", "latex", "html", "terminal", "csv", "json"]

SUM = 8
"""Digits of a sum that a table shows."""

ANSWERS = (SECONDS_TO_TARGET, STEP_RATIO, *MEMORY, TRAIN_SECONDS)
"""The figures that a table shows first after those that judge a task; others where there is room, or on request."""

PLACES = ("suite", "backend", "device", "dtype", "threads", "budget", "dataset_official", "environment")


def comparison(records: Sequence[Record]) -> pd.DataFrame:
    """The table as text: a row per method, medians over seeds with intervals and marks.

    Columns that are the same or empty in every row are left out, except task and method, and so is the status where all
    ended `ok`.
    """
    table = comparison_table(records)
    shown = [*(name for name in table.usual if name != "status"), *table.spare]
    return table.cells[[*shown, *(["status"] if "status" in table.usual else [])]].map(str)


def comparison_table(records: Sequence[Record]) -> Table:
    """The table with all columns; usual are those that differ between rows, and figures that answer its question."""
    found = summary(rows(records))
    named = names(record.cell for record in records)
    pairs = list(zip(found["task"], found["method"], strict=True))
    cells: dict[str, list[Any]] = {
        "task": [named.tasks[task] for task, _ in pairs],
        "method": [named.methods[pair] for pair in pairs],
        SPEC: [spec for _, spec in pairs],
    }
    usual = ["task", "method"]
    for name in PLACES:
        cells[name] = found[name].fillna("").astype(str).tolist()
        usual += [name] if found[name].nunique(dropna=False) > 1 else []
    cells["data"] = [str(sha or "")[:SUM] for sha in found["dataset_sha256"]]
    cells["fixed"] = found["fixed"].fillna("").tolist()
    cells["seeds"] = found["seeds"].astype(str).tolist()
    usual += ["data"] if several_data(found) else []
    usual += ["fixed"] if found["fixed"].notna().any() else []
    usual += ["seeds"] if found["seeds"].nunique() > 1 else []
    lines = found.to_dict("records")
    figures = [figure for figure in _ordered(found) if found[figure.name].notna().any()]
    for figure in figures:
        cells[figure.head] = [_value(line, figure) for line in lines]
    cells["status"] = [end_briefly(line) for line in lines]
    answers = [figure.head for figure in figures if figure in (*_judges(found), *ANSWERS)]
    spare = [figure.head for figure in figures if figure.head not in answers]
    failed = ["status"] if any(line["status"] != "ok" for line in lines) else []
    frame = pd.DataFrame({name: pd.Series(own, dtype=object) for name, own in cells.items()})
    return Table(frame, [*usual, *answers, *failed], {figure.head: figure for figure in figures}, spare)


def _judges(found: pd.DataFrame) -> list[Figure]:
    """The figures that judge the tasks of a table."""
    tasks = [own for _, own in found.groupby("task", sort=False)]
    first = [next((one for one in judging(TRAINING) if own[one.name].notna().any()), None) for own in tasks]
    return [figure for figure in judging(TRAINING) if figure in first]


def _ordered(found: pd.DataFrame) -> list[Figure]:
    """The figures of a table: those that judge, those that answer what it costs, the others."""
    return list(dict.fromkeys([*_judges(found), *(one for one in ANSWERS if one.title), *columns(TRAINING)]))


def render(records: Sequence[Record], form: Format, view: View = USUAL) -> str:
    """The table as text: forms to look at are the comparison, `csv` and `json` the raw rows."""
    if form == "json":
        return raw(raw_rows(records), form)
    if form == "csv":
        frame = rows(records)
        words = environments(records).words
        return csv_text(frame.replace({"environment": words}) if words else frame.drop(columns="environment"))
    return render_table(comparison_table(records), form, view)


def render_table(table: Table, form: Look, view: View) -> str:
    """A table as text, laid out as asked."""
    parts = laid_out(table, view, roomy=form == "terminal")
    numbers = {name for part in parts for name in part.numbers}
    if form == "terminal":
        return console_tables([(part.title, part.cells) for part in parts], numbers)
    return "\n\n".join(written(part.cells, form, numbers, part.title) for part in parts)


def render_history(records: list[Record], form: Literal["csv", "json"]) -> str:
    """Every evaluation of the records as text."""
    frame = history(records)
    return csv_text(frame) if form == "csv" else raw(frame.to_dict("records"), form)


def raw(lines: Sequence[dict[Any, Any]], form: Literal["csv", "json"]) -> str:
    """Lines of data as text; numbers that are not finite become null."""
    lines = [plain(line) for line in lines]
    return json_text(lines) if form == "json" else csv_text(pd.DataFrame(lines))


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV, with text that no spreadsheet reads as a formula."""
    safe = frame.apply(lambda column: column.map(csv) if column.dtype == object or column.dtype == "str" else column)
    return str(safe.rename(columns=csv).to_csv(index=False)).rstrip()


def _value(line: Mapping[Any, Any], figure: Figure) -> Value | str:
    middle, low, high = (line[f"{figure.name}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(middle):
        return "–"
    return Value.of(middle, low, high, figure.unit.write).marked(line[f"{figure.name}_mark"])


def end_in_words(row: Mapping[Any, Any]) -> str:
    """How a row's cells ended, and why."""
    return f"{row['status']}: {row['reason']}" if row["reason"] else str(row["status"])


def end_briefly(row: Mapping[Any, Any]) -> str:
    """How a row's cells ended, and the first words of why."""
    return f"{row['status']}: {shortened(row['reason'])}" if row["reason"] else str(row["status"])
