"""Performance profiles of seconds to target."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rbench.report.kinds.places import of_training
from rbench.report.pictures import Panel, Picture, Trace
from rbench.report.problems import Problems, place_columns
from rbench.report.profile import (
    SCORED_TO,
    counted,
    profile,
    ratios,
    reference_of,
    score,
    speed_up_words,
    speed_ups,
    timed_problems,
)
from rbench.run.record import Record


def profile_pictures(records: Sequence[Record], reference: str | None = None) -> list[Picture]:
    """ρ over τ of each place; the legend has its integral over τ from 1 to 4, and speed-ups over the reference.

    Raises:
        DataError: no task has a target, or no method has the name of the reference.
    """
    found = timed_problems(of_training(records))
    return [
        _picture(one, ", ".join(f"{name} {value}" for name, value in place.items()), reference)
        for one, place in zip(found, place_columns(found), strict=True)
    ]


def _picture(found: Problems, title: str, reference: str | None) -> Picture:
    over, names = reference_of(found, reference), found.labels
    integrals, quicker, times = score(found.scores), speed_ups(found.scores, over), ratios(found.scores)
    last = 1.1 * times.to_numpy().max(initial=SCORED_TO, where=np.isfinite(times.to_numpy()))
    traces = tuple(
        _trace(
            times[method],
            last,
            names[method],
            f"{integrals[method]:.2f}; {speed_up_words(quicker[method], len(times))}",
        )
        for method in profile(found.scores).index
    )
    notes = [
        f"Share of {counted(found)} where a method reached the target within τ times the quickest method's seconds. "
        f"In brackets: its mean over τ from 1 to {SCORED_TO:g}, as AlgoPerf scores; and the geometric mean of the "
        f"speed-ups over {names[over]}, where both reached the target.",
    ]
    if found.left_out:
        left_out = "; ".join(found.labels[method] for method in found.left_out)
        notes.append(f"Left out, as they were not run on every task: {left_out}.")
    panel = Panel("", "τ, seconds over the quickest method's", "ρ(τ), share of problems solved", traces, log="x")
    return Picture("profile", title, (panel,), notes=tuple(notes))


def _trace(times: "pd.Series[float]", last: float, label: str, note: str) -> Trace:
    taus = np.sort(times[np.isfinite(times)])
    shares = np.arange(len(taus) + 1) / len(times)
    x, y = np.array([1.0, *taus, last]), np.array([*shares, shares[-1]])
    return Trace(label, x, y, shape="step", note=note)
