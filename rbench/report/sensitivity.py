"""Sensitivity to settings: tables of what evenly spread points say about each method, with intervals."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from rbench.figures import significant
from rbench.report.forms import written, written_notes
from rbench.report.labels import labels
from rbench.report.noise import WITHIN_NOISE
from rbench.report.studies import GOOD, NEAR, Study, studies
from rbench.report.table import Format, raw
from rbench.report.value import Value
from rbench.run import Record
from rbench.sensitivity import DIMENSIONS
from rbench.sensitivity.statistics import BINS

DRAWN = (4, 16)
"""Numbers of points whose expected best the table shows, up to a quarter of all: beyond, a bootstrap, which finds no
point that is better than the best, makes its interval too narrow."""


def render_sensitivity(records: Sequence[Record], form: Format) -> str:
    """A table of studies, a row for each method on each task and place, with notes except in `csv` and `json`.

    Raises:
        DataError: as `studies`.
    """
    found = studies(records)
    if form == "json" or form == "csv":
        return raw([_line(one) for one in found], form)
    places = pd.DataFrame([one.place for one in found])
    several = [name for name in places if name == "task" or places[name].nunique(dropna=False) > 1]
    text = places[several].fillna("").astype(str)
    short = labels((str(one.place["task"]), one.method) for one in found)
    rows = [{**_words(one), "method": short[str(one.place["task"]), one.method]} for one in found]
    table = text.join(pd.DataFrame(rows).fillna("–"))
    figures = set(table.columns) - {*several, "method"}
    specs = dict.fromkeys(f"{label}: {spec}" for (_, spec), label in short.items() if label != spec)
    return "\n\n".join([written(table, form, figures), written_notes([*specs, *_notes(found)], form)])


def _line(one: Study) -> dict[str, Any]:
    """All figures of a study."""
    method, task = one.best_point
    figures = {f"expected_best_of_{k}": one.expected(k) for k in DRAWN if 4 * k <= len(one.medians)}
    figures |= {
        "points_needed": one.needed(),
        "good_share_of_own_best": one.within(one.medians.min()),
        "good_share_of_best": one.within(one.best),
        "null_share": one.null(),
    }
    line = {**one.place, "method": one.method, "points": len(one.medians), "seeds": one.losses.shape[1]}
    line |= {"unimproved": one.unimproved, "best": one.medians.min(), "best_method": method, "best_task": task}
    for name, (middle, low, high) in figures.items():
        line |= {name: middle, f"{name}_low": low, f"{name}_high": high}
    shares = one.shares()
    return line | {"good_decades": one.decades(), **{f"share_of_{name}": shares.get(name) for name in DIMENSIONS}}


def _words(one: Study) -> dict[str, Value | str]:
    """A row of the table to look at."""
    null = one.null()
    shares = one.shares()
    return {
        "method": one.method,
        "no better than its start": f"{one.unimproved} of {len(one.medians)}",
        "best": significant(one.medians.min()),
        **{f"expected of {k}": Value.of(*one.expected(k), significant) for k in DRAWN if 4 * k <= len(one.medians)},
        f"points to {NEAR:g} × the best": Value.of(*one.needed(), _whole),
        f"within {GOOD:g} × own best %": Value.of(*one.within(one.medians.min()), _percent),
        f"within {GOOD:g} × the best %": Value.of(*one.within(one.best), _percent),
        "good decades of rate": "–" if math.isnan(one.decades()) else f"{one.decades():.1f}",
        **{f"{name} %": _share(shares[name], null.high) if name in shares else "–" for name in DIMENSIONS},
        "no effect %": Value.of(*null, _percent),
    }


def _share(value: float, chance: float) -> str:
    """A share of variance, marked where one without effect could well be as large."""
    return "–" if math.isnan(value) else f"{WITHIN_NOISE if value <= chance else ''}{_percent(value)}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"


def _whole(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}"


def _notes(found: Sequence[Study]) -> list[str]:
    seeds = ", ".join(map(str, sorted({one.losses.shape[1] for one in found})))
    points = ", ".join(map(str, sorted({len(one.medians) for one in found})))
    best = "; ".join(" on ".join(one.best_point) for one in found)
    return [
        f"Losses on the validation split at the end of training, of {points} points per method, medians over seeds "
        f"({seeds}). A run that failed, or ended no better than it started, counts as its start.",
        "Intervals are of 95 % over points: bootstrap, and Wilson's of shares. Points that are spread evenly vary less "
        "than independent ones, so the intervals are rather wide; where two overlap, no difference is shown.",
        "expected of k: the expected best of k points, drawn without replacement (after Dodge et al. 2019). "
        f"points to {NEAR:g} × the best: the k for which that is at most {NEAR:g} times the best of all methods.",
        f"good decades of rate: from the lowest to the highest rate of a point within {GOOD:g} × its own best. "
        "Rates are over the mass, if any.",
        f"rate, mass, momentum, batch: first-order shares of the log loss's variance, from {BINS} bins. no effect: "
        "the mean share of a dimension without effect, and its 95 % quantile. ~ is not shown to have any.",
        f"Best points: {best}. They were chosen on the validation split: run them on the test set, at other seeds, "
        "before stating an accuracy.",
    ]
