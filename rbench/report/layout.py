"""How a table is laid out: which columns and rows it has, in which order, in how many parts."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import pandas as pd

from rbench.errors import RbenchError
from rbench.figures import Figure
from rbench.names import unknown
from rbench.report.turned import EMPTY, FIGURE, across, transposed
from rbench.report.value import Value

Grouping: TypeAlias = Literal["task", "backend", "network", "none"]
ALL = "all"
"""Stands for every column."""

OFFICIAL = "dataset_official"
"""The column that notes say in words."""

SPEC = "spec"
"""The column of whole SPECs, shown on request."""


@dataclass(frozen=True)
class View:
    """What a reader asks of a table.

    Attributes:
        columns: names of columns as csv has them, or their headings; `all` for every one; the usual ones if empty.
        methods: only methods with one of these texts in their SPEC or label.
        tasks: only tasks with one of these texts in theirs.
        group: a table for each task, backend or network, or one for all.
        sort: the column to sort rows by, the best first; the usual order if empty.
        caption: a sentence above, to which the provenance is added; none if empty.
        transposed: whether figures are rows and methods columns.
        across: the column whose values stand beside each other, each with its figures; none if empty.
        intervals: whether figures have them.
        notes: whether sentences on what the figures are stand below.
    """

    columns: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    group: Grouping = "task"
    sort: str = ""
    caption: str = ""
    transposed: bool = False
    across: str = ""
    intervals: bool = True
    notes: bool = True


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
        if _letters(name) not in self._known:
            raise RbenchError(unknown("column", name, [ALL, *map(self._csv, map(str, self.cells))]))
        return self._known[_letters(name)]

    def has(self, names: Collection[str]) -> bool:
        """Whether there are columns of all these names."""
        return all(name == ALL or _letters(name) in self._known for name in names)

    @property
    def _known(self) -> dict[str, str]:
        return {_letters(one): head for head in map(str, self.cells) for one in (head, self._csv(head))}

    def _csv(self, head: str) -> str:
        return self.figures[head].name if head in self.figures else head


@dataclass(frozen=True)
class Part:
    """A table as it is shown: its title, its cells, and the columns that hold numbers."""

    title: str
    cells: pd.DataFrame
    numbers: frozenset[str]


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
    if not view.intervals:
        cells = cells.map(lambda cell: cell.alone() if isinstance(cell, Value) else cell)
    key = view.group if view.group in cells and len(cells) else ""
    several = bool(key) and (key in table.usual or cells[key].nunique() > 1)
    same = _same(table, cells, view, key) if key == "task" or several else []
    parts = []
    for title, own in cells.groupby(key, sort=False) if key else [("", cells)]:
        shown = own[[name for name in chosen if name != key and name not in same]]
        silent = [name for name in shown if name in table.figures and shown[name].isin(EMPTY).all()]
        shown = shown.drop(columns=[name for name in silent if not view.columns or several])
        words = [f"{name} {own[name].iloc[0]}" for name in same if name != OFFICIAL and own[name].iloc[0] not in EMPTY]
        named = ", ".join([str(title), *words]) if key == "task" or several else ""
        parts.append(_turned(named, shown, table, view))
    return parts


def _same(table: Table, cells: pd.DataFrame, view: View, key: str) -> list[str]:
    """The columns that are the same in all rows of each part, and so go into its title, unless they are asked for."""
    asked = [str(name) for name in cells] if ALL in view.columns else [table.column(name) for name in view.columns]
    names = [name for name in table.usual if name not in (*asked, *table.figures, key, "task", "method", "status")]
    most = cells.groupby(key, sort=False)[names].nunique().max()
    return [name for name in names if most[name] <= 1]


def _turned(title: str, cells: pd.DataFrame, table: Table, view: View) -> Part:
    """A part, with values of a column beside each other, or figures as rows, if that is asked for."""
    if view.across:
        measured = [name for name, one in table.figures.items() if one.measures != "size" or one.better is not None]
        cells = across(cells, measured, table.column(view.across))
    if view.transposed:
        cells = transposed(cells, table.figures)
        return Part(title, cells, frozenset(map(str, cells)) - {FIGURE})
    heads = [str(name) for name in cells]
    return Part(title, cells, frozenset(name for name in heads if name.endswith(tuple(table.figures))))


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


def _letters(name: object) -> str:
    return str(name).casefold().replace("_", " ").replace("-", " ").strip()
