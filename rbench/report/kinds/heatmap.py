"""Heat maps: the loss over two settings of a study, or methods × tasks by their ratio to the best."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rbench.errors import DataError, RbenchError
from rbench.figures import TRAINING, judging, significant
from rbench.report.frame import ends, grouped, lines_of
from rbench.report.kinds.places import by_place, labelled, of_training
from rbench.report.kinds.sensitivity import sensitivity_pictures
from rbench.report.pictures import Grid, Panel, Picture
from rbench.run import Record

NOT_RUN = np.nan, "–"


def heatmap_pictures(records: Sequence[Record]) -> list[Picture]:
    """Sensitivity where the records are a study of settings; else methods × tasks, a picture for each place.

    Raises:
        DataError: no record of training ended ok.
    """
    records = of_training(records)
    try:
        return sensitivity_pictures(records)
    except RbenchError:
        return ratio_pictures(records)


def ratio_pictures(records: Sequence[Record]) -> list[Picture]:
    """Methods × tasks, coloured by the ratio of the figure that judges each task to that of the best method.

    Figures are medians over seeds; of an accuracy it is the share missed. Where a method failed, its cell says how.

    Raises:
        DataError: no record of training ended ok.
    """
    cells = labelled(records) if records else pd.DataFrame()
    if cells.empty or not cells["status"].eq("ok").any():
        raise DataError("no heat map: no training here ended ok")
    return [_picture(title, own) for title, own in by_place(cells, ())]


def _picture(title: str, own: pd.DataFrame) -> Picture:
    columns = {str(task): _column(here) for task, here in own.groupby("task", sort=False)}
    methods = list(dict.fromkeys(own["method"]))
    values = np.array([[column.get(method, NOT_RUN)[0] for column in columns.values()] for method in methods])
    words = [[column.get(method, NOT_RUN)[1] for column in columns.values()] for method in methods]
    known = np.isfinite(values)
    means = np.where(known, np.log(np.where(known, values, 1.0)), 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    order = np.lexsort((means, -known.sum(axis=1)))  # those with most tasks first, then by mean ratio
    grid = Grid(
        list(columns),
        [methods[n] for n in order],
        np.where(known, values, np.nan)[order],
        "ratio to the best of the task",
        log=True,
        words=[words[n] for n in order],
    )
    judges = ", or else ".join(figure.title.removeprefix("test ") for figure in judging(TRAINING))
    notes = (
        f"Ratios to the task's best of medians over seeds of test {judges}; of an accuracy the share missed. Methods "
        "that were measured on most tasks first, then by the geometric mean of their ratios.",
    )
    return Picture("heatmap", title, (Panel("", "", "", grid=grid),), notes=notes)


def _column(here: pd.DataFrame) -> dict[str, tuple[float, str]]:
    """Of each method on a task the ratio to the best, and what its cell says."""
    of_ok = here[here["status"] == "ok"]
    figure = next((one for one in judging(TRAINING) if of_ok[one.name].notna().any()), None)
    if figure is None:
        medians = pd.Series(dtype=float)
    else:
        medians = figure.minimised(pd.to_numeric(of_ok[figure.name]).groupby(of_ok["method"]).median()).dropna()
    best = medians.min()
    found = {}
    for method, rows in grouped(lines_of(here), lambda row: str(row["method"])).items():
        value = float(medians.get(method, np.nan))
        ratio = 1.0 if value == best else float(np.divide(value, best)) if best > 0 else np.nan
        status = str(ends(rows)["status"])
        words = [] if np.isnan(value) else [significant(ratio) if np.isfinite(ratio) else f"{value:.3g} : 0"]
        found[method] = ratio, ", ".join([*words, *([] if status == "ok" else [status.replace("_", " ")])]) or "–"
    return found
