"""The comparison table, in words: which columns to show, and how to write figures."""

import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pandas as pd

from rbench.report.frame import rows, summary
from rbench.run.record import Record, plain

Format: TypeAlias = Literal["markdown", "latex", "csv", "html", "json"]


@dataclass(frozen=True)
class Column:
    """A figure as a column of the table.

    Attributes:
        figure: its name in the frame.
        title: head of the column.
        write: a number in words.
    """

    figure: str
    title: str
    write: Callable[[float], str]


def significant(value: float) -> str:
    """Three significant digits, `never` for infinity."""
    if math.isinf(value):
        return "never"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        digits = 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:.{digits}f}"
    return f"{value:.2e}"


COLUMNS = (
    Column("test_accuracy", "test accuracy %", lambda value: f"{100 * value:.2f}"),
    Column("test_squared_error", "test squared error", significant),
    Column("test_loss", "test loss", significant),
    Column("train_loss", "train loss", significant),
    Column("step_seconds", "step ms", lambda value: significant(1e3 * value)),
    Column("step_ratio_to_sgd", "step / SGD", lambda value: f"{value:.2f}"),
    Column("train_seconds", "train s", significant),
    Column("seconds_to_target", "to target s", significant),
    Column("steps_to_target", "to target steps", lambda value: "never" if math.isinf(value) else f"{value:.0f}"),
    Column("peak_host_bytes", "peak host MiB", lambda value: significant(value / 2**20)),
    Column("peak_device_bytes", "peak device MiB", lambda value: significant(value / 2**20)),
)


def comparison(records: list[Record]) -> pd.DataFrame:
    """The table to look at: text alone, a row a method, medians over seeds with their intervals and marks.

    Columns that say the same in every row, or nothing in any, are left out, but for task, method and status.
    """
    table = summary(rows(records))
    shown = pd.DataFrame({"task": table["task"], "method": table["method"]})
    for name in ("suite", "backend", "device", "dtype", "threads", "budget", "dataset_official"):
        if table[name].nunique(dropna=False) > 1:
            shown[name] = table[name].fillna("").astype(str)
    if table["fixed"].notna().any():
        shown["fixed"] = table["fixed"].fillna("")
    if table["seeds"].nunique() > 1:
        shown["seeds"] = table["seeds"].astype(str)
    for column in COLUMNS:
        if table[column.figure].notna().any():
            shown[column.title] = [_figure(line, column) for line in table.to_dict("records")]
    shown["status"] = [
        status if reason is None else f"{status}: {reason}"
        for status, reason in zip(table["status"], table["reason"], strict=True)
    ]
    return shown


def render(records: list[Record], form: Format) -> str:
    """The table as text: `markdown`, `latex` and `html` are the comparison, `csv` and `json` the raw rows."""
    if form == "json":
        return raw([plain(record.row()) for record in records], form)
    if form == "csv":
        return rows(records).to_csv(index=False).rstrip()
    return written(comparison(records), form, {column.title for column in COLUMNS})


def raw(lines: Sequence[dict[str, Any]], form: Literal["csv", "json"]) -> str:
    """Lines of plain data as text."""
    return json.dumps(lines, indent=1) if form == "json" else pd.DataFrame(lines).to_csv(index=False).rstrip()


def written(shown: pd.DataFrame, form: Literal["markdown", "latex", "html"], figures: Collection[str]) -> str:
    """A table of text in a form to look at.

    Args:
        shown: text alone.
        form: which.
        figures: titles of the columns to align to the right.
    """
    alignment = ["right" if name in figures else "left" for name in shown.columns]
    if form == "latex":
        columns = "".join(side[0] for side in alignment)
        styled = shown.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
        return str(styled.to_latex(hrules=True, column_format=columns)).rstrip()
    if form == "html":
        return str(shown.to_html(index=False, border=0))
    shown = shown.map(lambda text: " ".join(text.split()).replace("|", "\\|"))
    return shown.to_markdown(index=False, disable_numparse=True, colalign=alignment)


def _figure(line: dict[Any, Any], column: Column) -> str:
    middle, low, high = (line[f"{column.figure}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(middle):
        return "–"
    return f"{line[f'{column.figure}_mark']}{with_interval(middle, low, high, column.write)}"


def with_interval(middle: float, low: float, high: float, write: Callable[[float], str]) -> str:
    """A number in words, its interval in brackets where that reads as another number."""
    ends = write(low), write(high)
    return write(middle) if ends[0] == ends[1] else f"{write(middle)} ({ends[0]}–{ends[1]})"
