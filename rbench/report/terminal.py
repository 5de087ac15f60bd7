"""Tables on a terminal: as many columns as its width has room for, decimal points below each other."""

import io
import shutil
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rbench.report.value import Value, aligned
from rbench.text import visible

GAP = 2
"""Spaces between columns."""

NARROWEST = 12
"""Characters that a column of words may be folded to, so that others fit."""

ANSWERS = 4
"""So many figures, from the left, are worth more than the intervals of the first: test figure, target, step, memory."""


@dataclass(frozen=True)
class Column:
    """A column as a terminal shows it: heading of one or more lines, cells of one width, whether it holds figures."""

    name: str
    heading: list[str]
    cells: list[str]
    number: bool

    @property
    def width(self) -> int:
        """Characters across."""
        return max(map(cell_len, [*self.heading, *self.cells]))


def terminal_width() -> int:
    """Columns of the terminal, or of COLUMNS; 80 where neither is known."""
    return max(shutil.get_terminal_size().columns, 20)


def console_tables(tables: Sequence[tuple[str, pd.DataFrame]], figures: Collection[str], width: int = 0) -> str:
    """Tables as text, and a line on what is not shown.

    Words are always shown. Of the figures those are, from the left, that fit; the first always is. Where fewer than
    `ANSWERS` fit, all are without their intervals.

    Args:
        tables: title, empty for none, and cells: text and `Value`.
        figures: titles of the columns of figures.
        width: of the terminal; its own if 0.
    """
    width = width or terminal_width()
    found = [[_column(cells[name], name in figures, brief=False) for name in cells] for _, cells in tables]
    kept = [fitting(columns, width) for columns in found]
    brief = any(_figures(some) < min(ANSWERS, _figures(all_)) for some, all_ in zip(kept, found, strict=True))
    if brief:
        found = [[_column(cells[name], name in figures, brief=True) for name in cells] for _, cells in tables]
        kept = [fitting(columns, width) for columns in found]
    texts = [_drawn(title, columns, width) for (title, _), columns in zip(tables, kept, strict=True)]
    pairs = list(zip(found, kept, strict=True))
    lost = [column.name for columns, some in pairs for column in columns if column not in some]
    if brief and any(isinstance(cell, Value) and cell.low for _, cells in tables for cell in cells.to_numpy().flat):
        lost.insert(0, "intervals")
    if lost:
        words = ", ".join(dict.fromkeys(lost))
        texts.append(f"Not shown, for want of width: {words}. A wider terminal shows more, and `columns` chooses.")
    return "\n\n".join(texts)


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that fit: all words, those after the first folded at need, and figures from the left."""
    words = [column for column in columns if not column.number]
    room = width - sum(min(column.width, NARROWEST) if place else column.width for place, column in enumerate(words))
    room -= GAP * (len(words) - 1)
    kept: list[Column] = []
    for column in columns:
        if column.number:
            room -= column.width + GAP
        kept += [column] if not column.number or room >= 0 or not _figures(kept) else []
    return kept


def _figures(columns: Sequence[Column]) -> int:
    return sum(column.number for column in columns)


def _column(cells: "pd.Series[Any]", number: bool, *, brief: bool) -> Column:
    """A column; if brief, figures without their intervals, below a heading that is no wider than it need be."""
    name = visible(str(cells.name))
    own = [cell if isinstance(cell, Value) else visible(str(cell)) for cell in cells]
    if brief:
        own = [Value(cell.middle, mark=cell.mark) if isinstance(cell, Value) else cell for cell in own]
    texts = aligned(own) if number else list(map(str, own))
    narrow = max([*map(cell_len, texts), *map(cell_len, name.split()), 1])
    return Column(name, textwrap.wrap(name, narrow) if brief and number else [name], texts, number)


def _drawn(title: str, columns: Sequence[Column], width: int) -> str:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)  # the box adds a space
    for column in columns:
        justify: Any = "right" if column.number else "left"
        heading = Text("\n".join(column.heading))
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=column.number, vertical="bottom")
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    text = io.StringIO()
    Console(file=text, width=width, color_system=None, legacy_windows=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().rstrip().splitlines()]
    return "\n".join([*([visible(title)] if title else []), *lines])
