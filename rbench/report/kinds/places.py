"""What the kinds of pictures share: records of training by task and place, under short names."""

from collections.abc import Iterator, Sequence

import pandas as pd

from rbench.report.frame import ends, grouped, lines_of, located, raw_rows
from rbench.report.labels import labels, suite_labels
from rbench.report.problems import PLACE, check_data, named
from rbench.report.table import end_in_words
from rbench.run import Record, Training


def of_training(records: Sequence[Record]) -> list[Record]:
    """The records that train a network."""
    return [record for record in records if isinstance(record.cell, Training)]


def labelled(records: Sequence[Record]) -> pd.DataFrame:
    """A row for each record of training, whose task and method have the shortest names that keep them apart.

    A method has the same name on all tasks, whatever its rate on each.

    Raises:
        DataError: the data of a task are not the same in all records.
    """
    frame = located(pd.DataFrame(raw_rows(records)))
    check_data(frame)
    tasks = labels(("", task) for task in frame["task"])
    short = named(frame.assign(task=[tasks["", task] for task in frame["task"]]))
    own = suite_labels(zip(short["suite"], short["task"], short["method"], strict=True))
    methods = labels(zip(short["task"], short["method"], strict=True), own)
    return short.assign(method=[methods[pair] for pair in zip(short["task"], short["method"], strict=True)])


def by_place(frame: pd.DataFrame, by: Sequence[str] = ("task",)) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each task, or what else, and place; with a title of what is not the same everywhere, and the task."""
    several = [name for name in PLACE if name in frame and frame[name].nunique(dropna=False) > 1]
    if not (names := [*by, *several]):
        yield "", frame
        return
    for values, own in frame.groupby(names, sort=False, dropna=False):
        yield ", ".join(str(value) for value in values if value is not None and value == value), own


def seeds_in_words(cells: pd.DataFrame) -> str:
    """How many seeds a method has, such as `3 seeds`, or `1 to 3 seeds` where some have fewer."""
    counts = cells.groupby("method")["seed"].nunique()
    least, most = counts.min(), counts.max()
    return f"{least} to {most} seeds" if least < most else f"{most} seed{'' if most == 1 else 's'}"


def failures(cells: pd.DataFrame) -> list[str]:
    """How the runs of each method ended that did not end `ok`, in words."""
    rows = grouped(lines_of(cells), lambda row: str(row["method"]))
    ended = {method: ends(own) for method, own in rows.items()}
    return [f"{method} ({end_in_words(end)})" for method, end in ended.items() if end["status"] != "ok"]
