"""Records as pandas frames: raw rows, and one row a method with its spread over seeds."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from rbench.run.record import FIELDS, Record

GROUP = ["suite", "task", "backend", "device", "dtype", "threads", "method", "budget", "dataset_official"]
FIGURES = [
    "test_accuracy", "test_squared_error", "test_loss", "train_loss", "step_seconds", "step_ratio_to_sgd",
    "train_seconds", "seconds_to_target", "peak_host_bytes", "peak_device_bytes", "n_parameters", "steps",
]  # fmt: skip


def rows(records: Iterable[Record]) -> pd.DataFrame:
    """One row a record, with the columns `FIELDS`, in the order of the records; a missed target takes infinite time."""
    frame = pd.DataFrame([record.row() for record in records], columns=list(FIELDS))
    missed = frame["target_reached"].eq(False)
    frame["seconds_to_target"] = pd.to_numeric(frame["seconds_to_target"]).mask(missed, np.inf)
    return frame


def history(records: Iterable[Record]) -> pd.DataFrame:
    """One row an evaluation of a record: its cell, the step, the training seconds until then, and the figures."""
    names = ("task", "method", "backend", "dtype", "seed")
    lines = [{**{name: getattr(r.cell, name) for name in names}, **point} for r in records for point in r.history]
    return pd.DataFrame(lines)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each method on a task and backend, over its seeds; the best first within each task.

    Args:
        frame: raw rows.

    Returns:
        The columns of `GROUP`; `seeds`, how many were run; `status` and `reason`, a failure where there is one, with
        how many failed; and for each figure the median over the seeds that ended `ok`, with `_low` and `_high` for the
        smallest and largest. Within a task methods are in order of median test accuracy, squared error or loss;
        failures come last.
    """
    if frame.empty:
        spread = [f"{figure}{end}" for figure in FIGURES for end in ("", "_low", "_high")]
        return pd.DataFrame(columns=[*GROUP, "seeds", "status", "reason", *spread])
    # A run that died before it could say where has no device: it is the one that its backend ran on otherwise.
    by_backend, by_task = frame.groupby("backend")["device"], frame.groupby("task")["dataset_official"]
    frame = frame.assign(
        device=frame["device"].fillna(by_backend.transform("first")),
        dataset_official=frame["dataset_official"].fillna(by_task.transform("first")),
    )
    groups = [_one(keys, group) for keys, group in frame.groupby(GROUP, sort=False, dropna=False)]
    table = pd.DataFrame(groups)
    # pandas makes None among strings NaN.
    table["reason"] = table["reason"].astype(object).where(table["reason"].notna(), None)
    rank = table["test_accuracy"].mul(-1).fillna(table["test_squared_error"]).fillna(table["test_loss"])
    order = table.assign(_failed=~table["status"].eq("ok"), _rank=rank, _method=table["method"])
    tasks = list(dict.fromkeys(table["task"]))
    order["_task"] = order["task"].map(tasks.index)
    order = order.sort_values(["suite", "_task", "backend", "dtype", "_failed", "_rank", "_method"], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def _one(keys: tuple[Any, ...], group: pd.DataFrame) -> dict[str, Any]:
    done = group[group["status"] == "ok"]
    failed = group[group["status"] != "ok"]
    kinds = failed["status"].value_counts()
    alone = len(kinds) == 1 and len(failed) == len(group)
    ends = [str(status) if alone else f"{status} {count} of {len(group)}" for status, count in kinds.items()]
    line: dict[str, Any] = dict(zip(GROUP, keys, strict=True))
    line |= {
        "seeds": group["seed"].nunique(),
        "status": ", ".join(ends) or "ok",
        "reason": None if failed.empty else failed["reason"].iloc[0],
    }
    for figure in FIGURES:
        values = pd.to_numeric(done[figure]).dropna().to_numpy(dtype=float)
        known = bool(len(values))
        line[figure] = float(np.median(values)) if known else np.nan
        line[f"{figure}_low"] = float(values.min()) if known else np.nan
        line[f"{figure}_high"] = float(values.max()) if known else np.nan
    return line
