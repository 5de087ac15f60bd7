"""How a table is laid out: which columns and rows it has, in which order, in how many parts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import pandas as pd

from rbench.errors import RbenchError
from rbench.figures import Figure
from rbench.names import unknown
from rbench.report.labels import names
from rbench.report.value import Value
from rbench.run.record import Record

Grouping: TypeAlias = Literal["task", "backend", "none"]
ALL = "all"
"""Stands for every column."""

EMPTY = ("–", "")
SPEC = "spec"
"""The column of whole SPECs, shown on request."""


@dataclass(frozen=True)
class View:
    """What a reader asks of a table.

    Attributes:
        columns: names of columns as csv has them, or their headings; `all` for every one; the usual ones if empty.
        methods: only methods with one of these texts in their SPEC or label.
        tasks: only tasks with one of these texts in theirs.
        group: a table for each task or backend, or one for all.
        sort: the column to sort rows by, the best first; the usual order if empty.
        caption: a sentence above, to which the provenance is added; none if empty.
        transposed: whether figures are rows and methods columns.
    """

    columns: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    group: Grouping = "task"
    sort: str = ""
    caption: str = ""
    transposed: bool = False


USUAL = View()


@dataclass(frozen=True)
class Table:
    """A table before it is laid out.

    Attributes:
        cells: all columns, by heading; text and `Value`.
        usual: headings of those that are shown unless others are asked for; in parts of their own also without cells
            that say nothing.
        figures: what measures are called: each with its `Figure`.
        spare: headings of those that are shown as well where a terminal has room.
        keys: headings of the columns that name a row, such as task and method.
    """

    cells: pd.DataFrame
    usual: Sequence[str]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    spare: Sequence[str] = ()
    keys: Sequence[str] = ("task", "method")

    def column(self, name: str) -> str:
        """The heading of a column, given that or its name in csv.

        Raises:
            RbenchError: there is no such column.
        """
        heads = [str(one) for one in self.cells]
        csv = {head: self.figures[head].name if head in self.figures else head for head in heads}
        known = {_letters(one): head for head in heads for one in (head, csv[head])}
        if _letters(name) not in known:
            raise RbenchError(unknown("column", name, [ALL, *csv.values()]))
        return known[_letters(name)]


@dataclass(frozen=True)
class Part:
    """A table as it is shown: its title and its cells."""

    title: str
    cells: pd.DataFrame


def filtered(records: Sequence[Record], view: View) -> tuple[list[Record], list[str]]:
    """The records that a view asks for, and sentences on what it leaves out.

    Raises:
        RbenchError: a text is in no method or task.
    """
    kept, notes = list(records), []
    for kind, texts in (("method", view.methods), ("task", view.tasks)):
        if texts:
            found, said = _matching(kept, kind, texts)
            kept = found
            notes.append(said)
    return kept, notes


def _matching(records: list[Record], kind: str, texts: Sequence[str]) -> tuple[list[Record], str]:
    named = names(record.cell for record in records)
    label: Callable[[Any], str] = named.method if kind == "method" else named.task
    spec = {record.cell.key: str(getattr(record.cell, kind, "")) for record in records}
    own = {record.cell.key: f"{spec[record.cell.key]}\n{label(record.cell)}".casefold() for record in records}
    for text in texts:
        if not any(text.casefold() in words for words in own.values()):
            raise RbenchError(unknown(kind, text, sorted({label(record.cell) for record in records})))
    kept = [one for one in records if any(text.casefold() in own[one.cell.key] for text in texts)]
    counts = [len({spec[one.cell.key] for one in some}) for some in (kept, records)]
    return kept, (
        f"Only {kind}s with {' or '.join(texts)}: {counts[0]} of {counts[1]}. Marks are among those that are shown."
    )


def laid_out(table: Table, view: View, *, roomy: bool) -> list[Part]:
    """The parts of a table.

    Args:
        table: the whole.
        view: what is asked of it.
        roomy: whether columns that are shown where there is room are there.

    Raises:
        RbenchError: there is no column of a name.
    """
    chosen = _chosen(table, view, roomy)
    cells = _sorted(table, view.sort)
    key = view.group if view.group in cells and len(cells) else ""
    several = bool(key) and (key in table.usual or cells[key].nunique() > 1)
    parts = []
    for title, own in cells.groupby(key, sort=False) if key else [("", cells)]:
        shown = own[[name for name in chosen if name != key]]
        if not view.columns:
            shown = shown[[name for name in shown if name not in table.figures or not shown[name].isin(EMPTY).all()]]
        named = str(title) if key == "task" or several else ""
        parts.append(Part(named, _transposed(shown, table) if view.transposed else shown))
    return parts


def _chosen(table: Table, view: View, roomy: bool) -> list[str]:
    if ALL in view.columns:
        return [str(name) for name in table.cells]
    if view.columns:
        keys = [name for name in table.usual if name not in table.figures and name != "status"]
        failed = [name for name in table.usual if name == "status"]
        asked = [table.column(name) for name in view.columns]
        return list(dict.fromkeys([*keys, *asked, *failed]))
    usual = list(table.usual)
    at = usual.index("status") if "status" in usual else len(usual)
    return [*usual[:at], *(table.spare if roomy else ()), *usual[at:]]


def _sorted(table: Table, name: str) -> pd.DataFrame:
    """The rows by a column, the best first; those that have nothing there are last."""
    if not name:
        return table.cells
    head = table.column(name)
    figure = table.figures.get(head)
    if figure is None:
        return table.cells.sort_values(head, key=lambda column: column.map(str), kind="stable")
    sign = -1 if figure.better == "higher" else 1
    order = table.cells[head].map(lambda cell: sign * cell.number if isinstance(cell, Value) else math.nan)
    return table.cells.loc[order.sort_values(kind="stable", na_position="last").index]


def _transposed(cells: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Figures as rows, and a column for each row, which is called by its words."""
    keys = [name for name in cells if name not in table.figures and name not in ("status", SPEC)]
    heads = cells[keys].map(str).agg(", ".join, axis=1)
    turned = cells.drop(columns=keys).T
    turned.columns = pd.Index(list(heads))
    turned.insert(0, "figure", list(turned.index), allow_duplicates=True)
    return turned.reset_index(drop=True)


def _letters(name: object) -> str:
    return str(name).casefold().replace("_", " ").replace("-", " ").strip()
