"""The seconds of a step by part, beside the floor that its counted operations set."""

from collections.abc import Mapping, Sequence

import numpy as np

from rbench.cost import COST_FIELDS
from rbench.errors import DataError
from rbench.figures import STEP_PARTS
from rbench.report.cost import cost_rows
from rbench.report.frame import Row, grouped
from rbench.report.labels import labels_of
from rbench.report.pictures import Panel, Picture, Trace
from rbench.report.table import end_in_words
from rbench.run.record import Record
from rbench.spec import parse

PLACE = ("network", "batch_size", "backend", "device", "dtype", "threads", "environment")

HALF = 0.45
"""Half the length of the line that marks a floor, in rows."""

PARTS = {figure.name: figure.name.removesuffix("_seconds") for figure in STEP_PARTS}


def breakdown_pictures(records: Sequence[Record]) -> list[Picture]:
    """A picture for each backend and place, a panel for each network, a row for each method.

    Raises:
        DataError: no step here was measured by part.
    """
    rows = cost_rows([record for record in records if record.cell.fields == COST_FIELDS])
    steps = [row for row in rows if row["method"] is not None and row["sweep"] is None]
    measured = [row for row in steps if row[STEP_PARTS[0].name] is not None]
    if not measured:
        raise DataError("no breakdown: no step here was measured by part; `step-time` does that")
    names = labels_of(row["method"] for row in steps)
    several = [name for name in PLACE[2:] if len({row.get(name) for row in measured}) > 1]
    where = grouped(measured, lambda row: tuple(row.get(name) for name in PLACE[2:]))
    ended = [row for row in steps if row["status"] != "ok"]
    failed = [f"{names[row['method']]} on {row['network']} ({end_in_words(row)})" for row in ended]
    found = []
    for own in where.values():
        title = ", ".join(str(own[0][name]) for name in several if own[0].get(name) is not None)
        panels = grouped(own, lambda row: (row["network"], row["batch_size"])).values()
        drawn = tuple(_panel(panel, names) for panel in panels)
        found.append(Picture("breakdown", title, drawn, across=1, notes=tuple(_notes(own, failed))))
    return found


def floor_seconds(rows: Sequence[Row]) -> dict[str, float]:
    """By method the seconds of a step if its products ran as quickly as those of SGD's step; none without an SGD."""
    sgd = [row for row in rows if parse(row["method"])[0] == "sgd"]
    if not sgd:
        return {}
    base = float(np.median([sum(row[name] for name in PARTS) / row["floor"] for row in sgd if row["floor"]]))
    return {row["method"]: row["floor"] * base for row in rows if row["floor"]}


def _panel(rows: Sequence[Row], names: Mapping[str, str]) -> Panel:
    places = np.arange(len(rows), dtype=float)
    bars = [
        Trace(part, 1e3 * np.array([max(0.0, row[name]) for row in rows]), places, shape="bars")
        for name, part in PARTS.items()
    ]
    floors = floor_seconds(rows)
    known = [(place, 1e3 * floors[row["method"]]) for place, row in enumerate(rows) if row["method"] in floors]
    x = np.array([[at, at, np.nan] for _, at in known]).ravel()
    y = np.array([[place - HALF, place + HALF, np.nan] for place, _ in known]).ravel()
    floor = [Trace("floor", x, y, shape="rule", figure="thick")] if known else []
    title = f"{rows[0]['network']}, batch {rows[0]['batch_size']}"
    labels = tuple(names[row["method"]] for row in rows)
    return Panel(title, "ms per step", "", (*bars, *floor), rows=labels)


def _notes(rows: Sequence[Row], failed: Sequence[str]) -> list[str]:
    shares = sorted(sum(row[name] for name in PARTS) / row["step_seconds"] for row in rows)
    notes = [
        "The quickest of several synchronised calls. metric: samples drawn, and the metric's rows pulled back; apply: "
        "a push added to the weights; solve: all else of the step, such as factoring, solving and momentum. floor: the "
        "step's counted multiply-add pairs at the speed of those of SGD's step.",
        f"Parts add up to {shares[0]:.0%} to {shares[-1]:.0%} of the median step: if that is far from 100%, other "
        "work on the machine interrupted long calls, and solve is too long.",
    ]
    return [*notes, f"Without figures: {'; '.join(failed)}."] if failed else notes
