"""Files of rows, as `rbench table --format csv` writes them, read as records."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, get_args

from pydantic import ValidationError

from rbench.errors import DataError
from rbench.experiment import Cell
from rbench.figures import fields
from rbench.names import did_you_mean, shown
from rbench.plugins import plugins
from rbench.report.environments import IN_WORDS
from rbench.report.frame import with_misses
from rbench.run.reading import read_bytes
from rbench.run.record import Record, Status
from rbench.text import from_csv

OF_RECORDS = ("status", "reason", "memory_reason", "environment")
"""Columns that hold neither a setting of the cell nor a figure."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WORDS = {"True": True, "False": False}
_TEXTS = ("device", "dataset_sha256")


class _Line(NamedTuple):
    """A line of a file: where it begins, and its values by column, without empty ones."""

    place: str
    values: dict[str, str]

    def wrong(self, name: str, words: str) -> NoReturn:
        """Raise the error for a value."""
        raise DataError(f"{self.place}, {name}: {shown(self.values.get(name))}: {words}")


def read_rows(path: Path) -> list[Record]:
    """The records of a file of rows, in order.

    They have what rows hold: the cell's settings, how it ended, and its figures; no evaluations, provenance, gate or
    tuning. Settings that a row does not show have their defaults. Blank lines separate the rows of several experiments,
    each with its own header. Columns may be missing, as in files of earlier versions.

    Raises:
        DataError: the file cannot be read, or a line is no row; the message names line and column.
    """
    try:
        text = read_bytes(path).decode()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from None
    records = [_record(kinds, line) for kinds, line in _lines(text, path)]
    if not records:
        raise DataError(f"{path} holds no rows; give a file that `rbench table --format csv` wrote")
    return records


def _lines(text: str, path: Path) -> Iterator[tuple[list[type[Cell]], _Line]]:
    """Each row of a file, with the kinds of cells that its header may be of."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    end = 0
    try:
        for values in reader:
            place, end = f"{path}, line {end + 1}", reader.line_num
            if not values:
                header = None
            elif header is None:
                header = [from_csv(value) for value in values]
                kinds = _kinds(header, place)
            elif len(values) != len(header):
                raise DataError(f"{place} has {len(values)} values, and its header has {len(header)}")
            else:
                found = zip(header, map(from_csv, values), strict=True)
                yield kinds, _Line(place, {name: value for name, value in found if value})
    except csv.Error as error:
        raise DataError(f"{path}, line {end + 1}: {error}") from None


def _kinds(header: list[str], place: str) -> list[type[Cell]]:
    """The kinds of cells that have all columns of a header; of these, those with the fewest others.

    Raises:
        DataError: there is none.
    """
    if twice := [name for name in header if header.count(name) > 1]:
        raise DataError(f"{place}: the column {shown(twice[0])} is there twice")
    columns = {*header} - {"environment"}
    kinds: list[type[Cell]] = list(plugins().registered("experiments").values())
    fitting = [kind for kind in kinds if columns <= {*kind.fields}]
    if fitting and "status" in columns:
        least = min(len(kind.fields) for kind in fitting)
        return [kind for kind in fitting if len(kind.fields) == least]
    nearest = max(kinds, key=lambda kind: len(columns & {*kind.fields}))
    unknown = [name for name in header if name not in {*nearest.fields, "environment"}]
    if "status" in columns and unknown:
        near = did_you_mean(unknown[0], nearest.fields)
        raise DataError(f"{place}: rows of {nearest.name} have no column {shown(unknown[0])}{near}")
    raise DataError(f"{place} is no header of rows, which have a column 'status'; give a file of `rbench table`")


def _record(kinds: list[type[Cell]], line: _Line) -> Record:
    """The record of a row: of the first kind of cell that has all its settings; the suite's namesake before others."""
    settings = {name for kind in kinds for name in kind.model_fields if name in line.values}
    having = [kind for kind in kinds if settings <= {*kind.model_fields}] or kinds
    *others, last = sorted(having, key=lambda kind: kind.name != line.values.get("suite"))
    for kind in others:
        with suppress(DataError):
            return _of_kind(kind, line)
    return _of_kind(last, line)


def _of_kind(kind: type[Cell], line: _Line) -> Record:
    figures = {name: _figure(kind, name, line) for name in line.values if name not in {*kind.model_fields, *OF_RECORDS}}
    figures |= {"device": line.values.get("device")}
    for name in (figure.name for figure in kind.figures if figure.until_target):
        if figures.get(name) == float("inf") and figures.get("target_reached") is False:
            del figures[name]
    status: Any = line.values.get("status")
    if status not in get_args(Status):
        line.wrong("status", f"a cell ends {', '.join(get_args(Status))}")
    record = Record(
        cell=_cell(kind, line),
        status=status,
        reason=line.values.get("reason"),
        figures={name: value for name, value in figures.items() if value is not None},
        memory_reason=line.values.get("memory_reason"),
        environment={IN_WORDS: line.values["environment"]} if "environment" in line.values else {},
    )
    _check_row(record, figures | {"status": status}, line)
    return record


def _cell(kind: type[Cell], line: _Line) -> Cell:
    try:
        return kind.model_validate(kind.settings_in(line.values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        line.wrong(str((*first["loc"], "cell")[0]), first["msg"].removeprefix("Value error, "))


def _figure(kind: type[Cell], name: str, line: _Line) -> Any:
    """A figure of a row, as its record holds it."""
    text = line.values[name]
    if name in _TEXTS:
        return text
    if name not in fields(kind.figures):
        return _WORDS.get(text, _number(text, text))
    declared = next((figure for figure in kind.figures if figure.name == name), None)  # None for a quartile
    never = text == "inf" and declared is not None and declared.until_target
    number = float("inf") if never else _number(text, None)
    if number is None:
        line.wrong(name, "it is no finite number")
    return int(number) if declared is not None and declared.whole and not never else number


def _number(text: str, otherwise: Any) -> Any:
    """An integer of 64 bits, or a finite number, or what else it is."""
    if not _NUMBER.fullmatch(text) or len(text) > 400:
        return otherwise
    number: int | float = float(text)
    if text.lstrip("+-").isdecimal():
        number = int(text)
    return number if abs(number) < (2**63 if isinstance(number, int) else float("inf")) else otherwise


def _check_row(record: Record, figures: Mapping[str, Any], line: _Line) -> None:
    """Raise where the record would give another row than the one that it is made of."""
    row = with_misses(record.row())
    for name, text in line.values.items():
        again = row.get(name)
        if name == "environment" or again == figures.get(name, text) or str(again) == text:
            continue
        if isinstance(again, int | float) and _number(text, None) == again:
            continue
        line.wrong(name, f"by the other columns it is {shown(again)}")
