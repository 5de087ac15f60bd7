"""Performance profiles (Dolan and Moré 2002, Math. Program. 91): how often a method is nearly the quickest."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rbench.errors import DataError
from rbench.report.plot import new_plot, plain_label, save_plot
from rbench.report.problems import Problems, place_columns, place_tables, problems
from rbench.report.table import Format, raw
from rbench.run.record import Record

TAUS = (1.0, 1.25, 1.5, 2.0, 4.0, 8.0, math.inf)
"""Where the table reads the profile; ∞: the target is reached at all."""


def timed_problems(records: Sequence[Record]) -> list[Problems]:
    """The tasks that have a target, at each seed.

    Raises:
        DataError: there is none.
    """
    found = problems(records, "seconds to target")
    if not found:
        raise DataError("no profile: no task here has a target, or no method was run on all of those that have one")
    return found


def ratios(scores: pd.DataFrame) -> pd.DataFrame:
    """Each method's seconds over the quickest method's on the same problem; infinite where it missed."""
    best = scores.min(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return scores.div(best, axis=0).where(scores.ne(best, axis=0) | np.isinf(scores), 1.0).fillna(np.inf)


def profile(scores: pd.DataFrame, taus: Sequence[float] = TAUS) -> pd.DataFrame:
    """ρ(τ), the share of problems on which a method took at most τ times the quickest method's seconds.

    Args:
        scores: a row per problem, a column per method; infinite is a miss.
        taus: at least 1; at ∞ the share of problems that the method solved.

    Returns:
        A row per method, best at the smallest τ first; a column per τ.
    """
    times = ratios(scores)
    shares = {method: [float(np.mean((t <= tau) & np.isfinite(t))) for tau in taus] for method, t in times.items()}
    order = sorted(shares, key=lambda method: [-share for share in shares[method]])
    return pd.DataFrame([shares[method] for method in order], index=pd.Index(order), columns=list(taus))


def render_profiles(records: Sequence[Record], form: Format) -> str:
    """Tables of ρ, with notes except in `csv` and `json`.

    Raises:
        DataError: no task has a target.
    """
    found = timed_problems(records)
    if form == "json" or form == "csv":
        lines = [
            {**one.place, "method": method, "tau": tau, "rho": rho, "problems": len(one.scores)}
            for one in found
            for method, shares in profile(one.scores).to_dict("index").items()
            for tau, rho in shares.items()
        ]
        return raw(lines, form)
    tables = [profile(one.scores).rename(columns=_head).map("{:.2f}".format) for one in found]
    return place_tables([(one, table, [_note(one)]) for one, table in zip(found, tables, strict=True)], form)


def _head(tau: float) -> str:
    return "ever" if math.isinf(tau) else f"within {tau:g} ×"


def _note(found: Problems) -> str:
    count = found.scores.index.get_level_values("task").nunique()
    tasks = "1 task" if count == 1 else f"{count} tasks"
    return (
        f"Share of {len(found.scores)} problems, {tasks} at each seed, where a method reached "
        "the target within so many times the quickest method's training seconds, or ever (Dolan and Moré 2002)."
    )


def draw_profiles(records: Sequence[Record], path: Path) -> None:
    """Write a plot of ρ over τ, a panel per place, in the form of `path`'s ending.

    Raises:
        DataError: no task has a target.
        RbenchError: matplotlib is not installed, or the file cannot be written.
    """
    found = timed_problems(records)
    methods = list(dict.fromkeys(method for one in found for method in profile(one.scores).index))
    picture = new_plot(1.5 + 5.5 * len(found), 4.5 + 0.2 * len(methods))
    panels = picture.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for panel, one, place in zip(panels, found, place_columns(found), strict=True):
        _draw(panel, one.scores, methods)
        panel.set_title(plain_label(", ".join(f"{name} {value}" for name, value in place.items())), wrap=True)
    panels[0].set_ylabel("ρ(τ), share of problems solved")
    lines = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    handles = [lines[plain_label(method)] for method in methods]
    picture.legend(handles=handles, loc="outside lower center", fontsize="small")
    save_plot(picture, path, dpi=110)


def _draw(panel: Any, scores: pd.DataFrame, methods: Sequence[str]) -> None:
    """The curves of one place; each is thinner than those below it, so that all stay visible where they coincide."""
    times = ratios(scores)
    last = 1.1 * times.to_numpy().max(initial=1.8, where=np.isfinite(times.to_numpy()))
    for index, (method, width) in enumerate(zip(methods, np.linspace(4, 1.5, len(methods)), strict=True)):
        if method in times:
            taus = np.sort(times[method][np.isfinite(times[method])])
            shares = np.arange(len(taus) + 1) / len(times)
            look = {"color": f"C{index % 10}", "linestyle": ("-", "--", ":", "-.")[index % 4], "linewidth": width}
            panel.step([1.0, *taus, last], [*shares, shares[-1]], where="post", label=plain_label(method), **look)
    panel.set_xscale("log", base=2)
    panel.set(xlim=(1, last), ylim=(-0.02, 1.02), xlabel="τ, seconds over the quickest method's")
    panel.xaxis.set_major_formatter("{x:g}")
