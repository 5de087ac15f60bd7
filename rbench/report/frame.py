"""Records as pandas frames: raw rows, and one row a method with medians over its seeds."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from rbench.report.noise import marks, median_interval
from rbench.run.record import FIELDS, Record

FIELD = ["suite", "task", "backend", "device", "dtype", "threads", "fixed", "budget", "dataset_official"]
"""What methods share that compete."""

GROUP = [*FIELD, "method"]
FIGURES = [
    "test_accuracy", "test_squared_error", "test_loss", "train_loss", "step_seconds", "step_ratio_to_sgd",
    "train_seconds", "seconds_to_target", "steps_to_target", "peak_host_bytes", "peak_device_bytes", "n_parameters",
    "steps",
]  # fmt: skip


def rows(records: Iterable[Record]) -> pd.DataFrame:
    """One row a record, with the columns `FIELDS`, in the order of the records; a missed target takes forever."""
    frame = pd.DataFrame([record.row() for record in records], columns=list(FIELDS))
    missed = frame["target_reached"].eq(False)
    for figure in ("seconds_to_target", "steps_to_target"):
        frame[figure] = pd.to_numeric(frame[figure]).mask(missed, np.inf)
    return frame


def history(records: Iterable[Record]) -> pd.DataFrame:
    """One row an evaluation of a record: its cell, the step, the training seconds until then, and the figures."""
    names = ("task", "method", "backend", "dtype", "seed", "fixed")
    lines = []
    for record in records:
        row = record.row()
        lines += [{**{name: row[name] for name in names}, **point} for point in record.history]
    return pd.DataFrame(lines)


def located(frame: pd.DataFrame) -> pd.DataFrame:
    """Raw rows, completed with what a run that died could not say: its device and data are those of the others."""
    by_backend, by_task = frame.groupby("backend")["device"], frame.groupby("task")["dataset_official"]
    return frame.assign(
        device=frame["device"].fillna(by_backend.transform("first")),
        dataset_official=frame["dataset_official"].fillna(by_task.transform("first")),
    )


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each method on a task and backend, over its seeds; the best first within each task.

    Args:
        frame: raw rows.

    Returns:
        The columns of `GROUP`; `seeds`, how many were run; `status` and `reason`, a failure where there is one, with
        how many failed; and for each figure the median over the seeds that ended `ok`, with `_low` and `_high` for its
        interval as `median_interval` finds it, and `_mark` as `marks` gives it among methods that share a `FIELD`.
        Within a task methods are in order of median test accuracy, squared error or loss; failures come last.
    """
    if frame.empty:
        columns = [f"{figure}{end}" for figure in FIGURES for end in ("", "_low", "_high", "_mark")]
        return pd.DataFrame(columns=[*GROUP, "seeds", "status", "reason", *columns])
    lines = []
    for _, field in located(frame).groupby(FIELD, sort=False, dropna=False):
        lines += _field([group for _, group in field.groupby("method")])
    table = pd.DataFrame(lines)
    # pandas makes None among strings NaN.
    table["reason"] = table["reason"].astype(object).where(table["reason"].notna(), None)
    rank = table["test_accuracy"].mul(-1).fillna(table["test_squared_error"]).fillna(table["test_loss"])
    order = table.assign(_failed=~table["status"].eq("ok"), _rank=rank, _method=table["method"])
    tasks = list(dict.fromkeys(frame["task"]))
    order["_task"] = order["task"].map(tasks.index)
    order = order.sort_values(["suite", "_task", "backend", "dtype", "_failed", "_rank", "_method"], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def _field(groups: list[pd.DataFrame]) -> list[dict[str, Any]]:
    """The rows of the methods that compete, each given with its records."""
    lines = [_one(group) for group in groups]
    for figure in FIGURES:
        values = [by_seed(group, figure) for group in groups]
        for line, known, mark in zip(lines, values, marks(values, higher=figure == "test_accuracy"), strict=True):
            line[figure] = float(known.median()) if len(known) else np.nan
            line[f"{figure}_low"], line[f"{figure}_high"] = median_interval(known) if len(known) else (np.nan, np.nan)
            line[f"{figure}_mark"] = mark
    return lines


def by_seed(group: pd.DataFrame, figure: str) -> "pd.Series[float]":
    """A figure of the records that ended `ok` and have it, by seed in increasing order; of repeats the median."""
    done = group[group["status"] == "ok"].set_index("seed")
    return pd.to_numeric(done[figure]).dropna().astype(float).groupby(level=0).median()


def _one(group: pd.DataFrame) -> dict[str, Any]:
    failed = group[group["status"] != "ok"].sort_values("seed")
    kinds = failed["status"].value_counts(sort=False)
    alone = len(kinds) == 1 and len(failed) == len(group)
    ends = [str(status) if alone else f"{status} {count} of {len(group)}" for status, count in kinds.items()]
    return {
        **{name: group[name].iloc[0] for name in GROUP},
        "seeds": group["seed"].nunique(),
        "status": ", ".join(ends) or "ok",
        "reason": None if failed.empty else failed["reason"].iloc[0],
    }
