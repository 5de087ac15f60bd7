"""The comparison table as text: which columns it shows, and how it writes figures."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd

from rbench.figures import TRAINING, Figure, columns
from rbench.report.environments import environments
from rbench.report.frame import history, raw_rows, rows, several_data, summary
from rbench.run.record import Record, plain
from rbench.text import csv, html, json_text, latex, markdown, paragraph

Format: TypeAlias = Literal["markdown", "latex", "csv", "html", "json"]
Look: TypeAlias = Literal["markdown", "latex", "html"]
"""Forms to look at; the others hold raw rows."""

WRITE: dict[Look, Callable[[str], str]] = {"markdown": markdown, "latex": latex, "html": html}
SUM = 8
"""Digits of a sum that a table shows."""


def comparison(records: Sequence[Record]) -> pd.DataFrame:
    """The table to look at: text only, a row per method, medians over seeds with intervals and marks.

    Columns that are the same or empty in every row are left out, except task, method and status.
    """
    table = summary(rows(records))
    shown = pd.DataFrame({"task": table["task"], "method": table["method"]})
    for name in ("suite", "backend", "device", "dtype", "threads", "budget", "dataset_official", "environment"):
        if table[name].nunique(dropna=False) > 1:
            shown[name] = table[name].fillna("").astype(str)
    if several_data(table):
        shown["data"] = [str(sha or "")[:SUM] for sha in table["dataset_sha256"]]
    if table["fixed"].notna().any():
        shown["fixed"] = table["fixed"].fillna("")
    if table["seeds"].nunique() > 1:
        shown["seeds"] = table["seeds"].astype(str)
    lines = table.to_dict("records")
    for figure in columns(TRAINING):
        if table[figure.name].notna().any():
            shown[figure.head] = [_figure(line, figure) for line in lines]
    shown["status"] = [end_in_words(line) for line in lines]
    return shown


def render(records: Sequence[Record], form: Format) -> str:
    """The table as text: `markdown`, `latex` and `html` are the comparison, `csv` and `json` the raw rows."""
    if form == "json":
        return raw(raw_rows(records), form)
    if form == "csv":
        frame = rows(records)
        words = environments(records).words
        return csv_text(frame.replace({"environment": words}) if words else frame.drop(columns="environment"))
    return written(comparison(records), form, {figure.head for figure in columns(TRAINING)})


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


def written(shown: pd.DataFrame, form: Look, figures: Collection[str]) -> str:
    """A table of text in a form to look at.

    Args:
        shown: text only.
        form: the form.
        figures: titles of the columns to align to the right.
    """
    alignment = ["right" if name in figures else "left" for name in shown.columns]
    shown = shown.map(WRITE[form]).rename(columns=WRITE[form])
    if form == "latex":
        text = str(shown.style.hide(axis="index").to_latex(hrules=True, column_format="".join(s[0] for s in alignment)))
        # After the end of a row, LaTeX would read these as a part of it.
        return re.sub(r"^(?=[*\[])", "{}", text.rstrip(), flags=re.MULTILINE)
    if form == "html":
        with pd.option_context("display.max_colwidth", None):
            return str(shown.to_html(index=False, border=0, escape=False))
    return str(shown.to_markdown(index=False, disable_numparse=True, colalign=alignment))


def written_notes(notes: Sequence[str], form: Look) -> str:
    """Notes below a table: lines of Markdown, small print of LaTeX, paragraphs of HTML."""
    if form == "markdown":
        return "\n".join(paragraph(note) for note in notes)
    if form == "html":
        return "\n".join(f"<p>{html(note)}</p>" for note in notes)
    return "\n".join([r"{\footnotesize", *(rf"\par\noindent {latex(note)}" for note in notes), r"\par}"])


def _figure(line: dict[Any, Any], figure: Figure) -> str:
    middle, low, high = (line[f"{figure.name}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(middle):
        return "–"
    return f"{line[f'{figure.name}_mark']}{with_interval(middle, low, high, figure.unit.write)}"


def end_in_words(row: Mapping[Any, Any]) -> str:
    """How a row's cells ended, and why."""
    return f"{row['status']}: {row['reason']}" if row["reason"] else str(row["status"])


def with_interval(middle: float, low: float, high: float, write: Callable[[float], str]) -> str:
    """A number as text, with its interval in brackets where the ends are written differently."""
    ends = write(low), write(high)
    return write(middle) if ends[0] == ends[1] else f"{write(middle)} ({ends[0]}–{ends[1]})"
