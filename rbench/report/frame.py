"""Records as pandas frames: raw rows, and one row per method with medians over its seeds."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import itemgetter
from statistics import median
from typing import Any, TypeAlias, TypeVar

import pandas as pd

from rbench.errors import SpecError
from rbench.figures import TRAINING, judging
from rbench.report.environments import environments
from rbench.report.noise import marks, median_interval
from rbench.run import FIELDS, Record
from rbench.spec import parse
from rbench.train.cell import CELL_FIELDS

Row: TypeAlias = dict[str, Any]
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)

COMPETITION = [
    "suite", "task", "backend", "device", "dtype", "threads", "fixed", "budget", "dataset_official", "environment",
    "dataset_sha256",
]  # fmt: skip
"""The columns that competing methods share."""

GROUP = [*COMPETITION, "method"]


def rows(records: Sequence[Record]) -> pd.DataFrame:
    """One row per record, in their order; the time to a missed target is infinite.

    Returns:
        The columns `FIELDS`, and `environment`: the letter of the record's environment, None where all agree.
    """
    frame = pd.DataFrame([with_misses(record.row()) for record in records], columns=list(FIELDS))
    return frame.assign(environment=pd.Series(environments(records).labels, index=frame.index, dtype=object))


def with_misses(row: Row) -> Row:
    """A row with infinite times to a missed target."""
    forever = {figure.name: math.inf for figure in TRAINING if figure.until_target}
    return row | forever if row.get("target_reached") is False else row


def raw_rows(records: Sequence[Record]) -> list[Row]:
    """One plain row per record, with `FIELDS`, and `environment` in words where records differ in it."""
    return [record.row() | own for record, own in zip(records, environments(records).fields, strict=True)]


def history(records: Sequence[Record]) -> pd.DataFrame:
    """One row per evaluation of a record: its cell, the step, the training seconds until then, and the figures.

    Where records differ in it, `environment` describes a record's environment in words.
    """
    lines = []
    for record, own in zip(records, environments(records).fields, strict=True):
        row = record.row()
        cell = {name: row[name] for name in (*CELL_FIELDS, "dataset_sha256")}
        lines += [{**cell, **point, **own} for point in record.history]
    return pd.DataFrame(lines)


def name_of(spec: str) -> str:
    """The name in a SPEC; the whole text where it is no SPEC."""
    try:
        return parse(spec)[0]
    except SpecError:
        return spec


def located(frame: pd.DataFrame) -> pd.DataFrame:
    """Raw rows, where failed runs take their missing device and data from the others."""
    known = {"device": "backend", "dataset_official": "task", "dataset_sha256": "task"}
    others = {name: frame.groupby(of)[name].transform("first") for name, of in known.items()}
    return frame.assign(**{name: frame[name].fillna(other) for name, other in others.items()})


def several_data(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The sums of the data of each task whose rows have different ones."""
    sums = frame[["task", "dataset_sha256"]].dropna().drop_duplicates()
    found = {str(task): [str(one) for one in own] for task, own in sums.groupby("task", sort=False)["dataset_sha256"]}
    return {task: own for task, own in found.items() if len(own) > 1}


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each method on a task and backend, over its seeds; the best first within each task.

    Args:
        frame: raw rows, as `rows` makes them.

    Returns:
        The columns of `GROUP`; `seeds`, how many were run; `status` and `reason`, with the number of failures if any;
        and for each figure the median over the seeds that ended `ok`, with `_low` and `_high` for its interval by
        `median_interval`, and `_mark` by `marks` among the methods that share a `COMPETITION`. Within a task methods
        are in order of the figure that judges it; failures come last.
    """
    if frame.empty:
        columns = [f"{figure.name}{end}" for figure in TRAINING for end in ("", "_low", "_high", "_mark")]
        return pd.DataFrame(columns=[*GROUP, "seeds", "status", "reason", *columns])
    lines = []
    for competition in grouped(lines_of(located(frame)), itemgetter(*COMPETITION)).values():
        methods = grouped(competition, itemgetter("method"))
        lines += _compared([methods[name] for name in sorted(methods)])
    table = pd.DataFrame(lines)
    # pandas makes None among strings NaN.
    table["reason"] = table["reason"].astype(object).where(table["reason"].notna(), None)
    rank, *others = (figure.sign * table[figure.name] for figure in judging(TRAINING))
    for other in others:
        rank = rank.fillna(other)
    place = table["task"].map(list(dict.fromkeys(frame["task"])).index)
    order = table.assign(_failed=~table["status"].eq("ok"), _rank=rank, _task=place)
    order = order.sort_values(["suite", "_task", "backend", "dtype", "_failed", "_rank", "method"], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def lines_of(frame: pd.DataFrame) -> list[Row]:
    """The rows of a frame by column; what is missing is None."""
    plain = frame.astype(object)
    lines: list[Any] = plain.where(plain.notna(), None).to_dict("records")
    return lines


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by their key, in order of the first of each."""
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def _compared(groups: list[list[Row]]) -> list[Row]:
    """A row per competing method, given the records of each."""
    lines = [_ends(group) for group in groups]
    for figure in TRAINING:
        name = figure.name
        values = [_by_seed(group, name) for group in groups]
        for line, known, mark in zip(lines, values, marks(values, higher=figure.better == "higher"), strict=True):
            low, high = median_interval(list(known.values())) if known else (math.nan, math.nan)
            middle = median(known.values()) if known else math.nan
            line |= {name: middle, f"{name}_low": low, f"{name}_high": high, f"{name}_mark": mark}
    return lines


def _by_seed(group: Iterable[Row], figure: str) -> dict[int, float]:
    """A figure of the records that ended `ok` and have it, by increasing seed; the median of repeats."""
    known = (line for line in group if line["status"] == "ok" and line[figure] is not None)
    by_seed = grouped(known, itemgetter("seed"))
    return {seed: median(float(line[figure]) for line in by_seed[seed]) for seed in sorted(by_seed)}


def _ends(group: list[Row]) -> Row:
    """The group of a method's records, and how they ended."""
    seeds = {line["seed"] for line in group}
    return {**{name: group[0][name] for name in GROUP}, "seeds": len(seeds), **ends(group)}


def ends(group: list[Row]) -> Row:
    """How rows of several seeds ended: `status`, with the number of failures if any, and the `reason` of the first."""
    seeds = {line.get("seed", 0) for line in group}
    failed = sorted((line for line in group if line["status"] != "ok"), key=lambda line: int(line.get("seed", 0)))
    kinds = Counter(status for _, status in dict.fromkeys((line.get("seed", 0), line["status"]) for line in failed))
    alone = len(kinds) == 1 and len(failed) == len(group)
    words = [str(status) if alone else f"{status} {count} of {len(seeds)}" for status, count in kinds.items()]
    return {"status": ", ".join(words) or "ok", "reason": failed[0]["reason"] if failed else None}
