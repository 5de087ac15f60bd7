"""Tables of a page: text to read beside numbers to sort by, and the records that each row is of."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rbench.figures import Figure, columns, significant
from rbench.report.frame import Row, ends, grouped, with_misses
from rbench.report.labels import Names
from rbench.report.noise import median_interval
from rbench.report.table import end_in_words
from rbench.report.value import Value
from rbench.run.record import plain
from rbench.text import visible

HIDDEN = ("dataset_sha256", "memory_reason", "target_reached", "dataset_official")
"""Fields that a table shows on request only, though rows differ in them."""

LABELLED = ("method", "task")
"""Fields that hold SPECs, which labels stand for."""

Cell = list[Any]
"""What stands in a cell, and the number that it is sorted by, if it is one."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        number: whether it is sorted as numbers.
        shown: whether it is shown unless its reader hides it.
    """

    title: str
    number: bool = False
    shown: bool = True


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        title: above it.
        columns: its columns.
        rows: of each the cells, the places of its records, and the place of its run.
        notes: sentences below it.
        begins_open: whether it is seen before its reader asks for it.
    """

    title: str
    columns: list[Column]
    rows: list[dict[str, Any]]
    notes: list[str]
    begins_open: bool = True


@dataclass(frozen=True)
class Line:
    """The row of a record, its place among the page's records, and the place of its run."""

    row: Row
    place: int
    run: int


def sheet(
    title: str,
    lines: Sequence[Line],
    figures: Sequence[Figure],
    names: Sequence[str],
    labels: Names,
    *,
    over_seeds: bool,
    marks: Mapping[tuple[int, str], str] | None = None,
    notes: Sequence[str] = (),
    main: Collection[str] = (),
    words: Collection[str] = (),
) -> Sheet:
    """A table of records of one kind.

    Args:
        title: above it.
        lines: the records' rows.
        figures: fields that are measured.
        names: of the page's runs.
        labels: of the records' methods and tasks.
        over_seeds: whether a row is of all seeds of a setting, with medians and intervals; else it is of one record.
        marks: by the place of a row's first record and a figure's name, what precedes the figure.
        notes: sentences below it.
        main: names of the figures that are shown at first; the others on request.
        words: names of the fields that are results in words, which are always shown.
    """
    measured = {name for figure in figures for name in (figure.name, *figure.quartiles)}
    known = dict.fromkeys(name for line in lines for name in line.row)
    settings = [name for name in known if name not in measured and name not in ("status", "reason", *HIDDEN)]
    keys = [name for name in settings if name != "seed"] if over_seeds else settings
    groups = list(grouped(lines, lambda line: (line.run, *(str(line.row.get(n)) for n in keys))).values())
    groups = groups if over_seeds else [[line] for line in lines]
    made = list(_columns(groups, keys, figures, names, labels, marks or {}, main, words))
    by_row = zip(*(cells for _, cells in made), strict=True)
    rows = [
        {"cells": list(own), "records": [line.place for line in group], "run": group[0].run}
        for group, own in zip(groups, by_row, strict=True)
    ]
    return Sheet(title, [column for column, _ in made], rows, list(notes), begins_open=over_seeds)


def _columns(
    groups: list[list[Line]],
    keys: Sequence[str],
    figures: Sequence[Figure],
    names: Sequence[str],
    labels: Names,
    marks: Mapping[tuple[int, str], str],
    main: Collection[str],
    words: Collection[str],
) -> Iterable[tuple[Column, list[Cell]]]:
    """The columns in order, each with its cells."""
    first = [group[0].row for group in groups]
    if len(names) > 1:
        yield Column("run"), [_text(names[group[0].run]) for group in groups]
    yield from _methods(first, labels)
    for name in keys:
        values = [row.get(name) for row in first]
        if name not in LABELLED and any(value is not None for value in values):
            yield _setting(name, values, always=name in words)
    status = [end_in_words(ends([line.row for line in group])) for group in groups]
    yield Column("status", shown=set(status) != {"ok"}), [_text(words) for words in status]
    for figure in columns(figures) + [figure for figure in figures if not figure.title]:
        if any(line.row.get(figure.name) is not None for group in groups for line in group):
            head = Column(figure.head or figure.name.replace("_", " "), number=True, shown=figure.name in main)
            yield head, [_figure(figure, group, marks.get((group[0].place, figure.name), "")) for group in groups]
    if any(len(group) > 1 for group in groups):
        yield Column("seeds", number=True), [_number(len({line.row.get("seed") for line in g})) for g in groups]


def _methods(rows: Sequence[Row], labels: Names) -> Iterable[tuple[Column, list[Cell]]]:
    """Methods and tasks by their labels, and by their whole SPECs where these are longer."""
    tasks, methods = ([str(row.get(name) or "") for row in rows] for name in ("task", "method"))
    called = [labels.methods.get(pair, "–") for pair in zip(tasks, methods, strict=True)]
    for name, specs, short in (
        ("method", methods, called),
        ("task", tasks, [labels.tasks.get(task, "–") for task in tasks]),
    ):
        if not any(specs):
            continue
        yield Column(name), [_text(words) for words in short]
        if short != specs:
            yield Column(f"whole {name}", shown=False), [_text(spec) for spec in specs]


def _setting(name: str, values: list[Any], *, always: bool) -> tuple[Column, list[Cell]]:
    """A setting or a result in words; settings are hidden where all rows have the same."""
    known = [value for value in values if value is not None]
    number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    shown = always or len({str(value) for value in values}) > 1
    write: Callable[[Any], Cell] = _number if number else _text
    return Column(name.replace("_", " "), number, shown), [write(value) for value in values]


def _figure(figure: Figure, group: list[Line], mark: str) -> Cell:
    """The median of those that ended ok, with its interval."""
    rows = [with_misses(line.row) for line in group if line.row["status"] == "ok"]
    values = [float(row[figure.name]) for row in rows if row.get(figure.name) is not None]
    if not values:
        return ["–", None]
    middle = median(values)
    low, high = median_interval(values) if len(values) > 1 else _quartiles(figure, rows[0], middle)
    number = None if math.isinf(middle) else middle
    return [str(Value.of(middle, low, high, figure.unit.write).marked(mark)), number]


def _quartiles(figure: Figure, row: Row, middle: float) -> tuple[float, float]:
    low, high = (row.get(name) for name in figure.quartiles) if figure.quartiles else (None, None)
    return (middle, middle) if low is None or high is None else (float(low), float(high))


def _number(value: Any) -> Cell:
    if value is None:
        return ["–", None]
    return [f"{value:,}" if isinstance(value, int) else significant(value), plain(value)]


def _text(value: Any) -> Cell:
    return ["–" if value is None else visible(str(value))]
