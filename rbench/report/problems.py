"""Records as problems that methods compete on: a matrix of scores for ranks and profiles over tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from rbench.errors import DataError, PluginError, SpecError
from rbench.figures import SECONDS_TO_TARGET, TRAINING, judging
from rbench.plugins import plugins
from rbench.report.environments import environments
from rbench.report.forms import Look, written, written_notes
from rbench.report.frame import located, rows, several_data
from rbench.report.labels import labels_of
from rbench.run.record import Record, plain
from rbench.spec import parse

PLACE = ["backend", "device", "dtype", "threads", "fixed", "environment"]
"""The columns that make a place where methods compete."""

TASK = ["suite", "task", "budget"]
By: TypeAlias = Literal["test figure", "seconds to target"]


@dataclass(frozen=True)
class Problems:
    """Scores of methods on the problems of one place.

    Attributes:
        place: the values of `PLACE`, by name; `environment`, in words, where records differ in it.
        by: what is scored: the first figure of `judging` that a task has, or training seconds until its target.
        scores: a row per problem (task, seed), a column per method. Less is better; infinite where a method failed or
            missed the target.
        left_out: methods that were not run on every task.
        suites: that the tasks are of.
    """

    place: dict[str, Any]
    by: By
    scores: pd.DataFrame
    left_out: tuple[str, ...]
    suites: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """What tables and plots call the methods, by SPEC."""
        return labels_of(map(str, (*self.scores, *self.left_out)), self.suites)


def problems(records: Sequence[Record], by: By) -> list[Problems]:
    """The problems of each place where some task has the figure and some method was run on every task.

    Here a method is its name with the settings that `rbench tune` does not vary, so that it is one method over tasks,
    whatever its rate on each. Where two methods of a task would become one, both keep their whole SPEC. Of a task's
    seeds only those count that every method has, except methods left out.

    Raises:
        DataError: the data of a task are not the same in all records.
    """
    words = environments(records).words
    frame = located(rows(records)).replace({"environment": words})
    check_data(frame)
    place = [name for name in PLACE if words or name != "environment"]
    found = []
    for _, here in frame.groupby(PLACE, sort=False, dropna=False):
        scored = [_scored(task, by) for _, task in here.groupby(TASK, sort=False)]
        known = [task for task in scored if len(task)]
        if not known:
            continue
        table = named(pd.concat(known))
        matrix = table.pivot_table(index=["task", "seed"], columns="method", values="score", aggfunc="median")
        order = list(dict.fromkeys(table["task"]))
        matrix = matrix.sort_index(key=lambda level: level.map(order.index) if level.name == "task" else level)
        everywhere = matrix.notna().groupby(level="task").any().all()
        scores = matrix.loc[:, everywhere].dropna()
        if scores.size:
            names = plain(here[place].astype(object).iloc[0].to_dict())
            found.append(Problems(names, by, scores, tuple(matrix.columns[~everywhere]), tuple(here["suite"].unique())))
    return found


def check_data(frame: pd.DataFrame) -> None:
    """Raise a `DataError` where the data of a task are not the same in all rows."""
    for task, sums in several_data(frame).items():
        raise DataError(
            f"the data of {task} are not the same in all records (sha256 {' and '.join(sums)}): methods compete on the "
            "same data alone; take the runs of one of them, or give the task a fixed seed"
        )


def _scored(task: pd.DataFrame, by: By) -> pd.DataFrame:
    """Records of one task, each with a score; empty where none has the figure."""
    figures = [SECONDS_TO_TARGET] if by == "seconds to target" else judging(TRAINING)
    figure = next((one for one in figures if task[one.name].notna().any()), None)
    if figure is None:
        return task.iloc[:0]
    scores = figure.sign * pd.to_numeric(task[figure.name]).astype(float)
    return task.assign(score=scores.where(task["status"].eq("ok"), np.inf).fillna(np.inf))


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Tasks and methods under the shortest names that keep them apart."""
    several = [name for name in ("suite", "budget") if table.groupby("task")[name].nunique().max() > 1]
    tasks = table[["task", *several]].agg(", ".join, axis=1)
    short = table["method"].map({spec: untuned(spec) for spec in table["method"].unique()})
    clash = short[table.assign(task=tasks, short=short).groupby(["task", "short"])["method"].transform("nunique") > 1]
    return table.assign(task=tasks, method=table["method"].where(short.isin(clash), short))


def untuned(spec: str) -> str:
    """A method's SPEC without its rate, the rate's schedule, and its other searched settings."""
    try:
        name, settings = parse(spec)
        varied = {"lr", "schedule", *plugins().find("methods", name)(**settings).searched}
    except (PluginError, SpecError):  # a method of a plugin that is not installed here, or no SPEC
        return spec
    kept = [f"{key}={str(value).lower().replace(' ', '')}" for key, value in settings.items() if key not in varied]
    return f"{name}[{','.join(kept)}]" if kept else name


def place_columns(found: Sequence[Problems]) -> list[dict[str, str]]:
    """For each of several problems, the parts of its place that are not the same for all."""
    several = [name for name in PLACE if len({one.place.get(name) for one in found}) > 1]
    return [{name: str(one.place[name] or "none") for name in several} for one in found]


def place_tables(found: Sequence[tuple[Problems, pd.DataFrame, list[str]]], form: Look) -> str:
    """A table for each place with its notes, as text.

    Args:
        found: of each place its problems, a table of text with a row per method, and sentences on it.
        form: how to write them.
    """
    parts, known = [], set[str]()
    for (one, table, said), place in zip(found, place_columns([one for one, *_ in found]), strict=True):
        short = one.labels
        lines = [{**place, "method": short[str(method)], **row} for method, row in table.to_dict("index").items()]
        if one.left_out:
            left = "; ".join(short[method] for method in one.left_out)
            said = [*said, f"Left out, as they were not run on every task: {left}."]
        whole = [f"{label}: {spec}" for spec, label in short.items() if label != spec]
        said = [*said, *(line for line in whole if line not in known)]
        known |= set(whole)
        parts += [written(pd.DataFrame(lines), form, set(table.columns)), written_notes(said, form)]
    return "\n\n".join(parts)
