"""Performance profiles (Dolan and Moré 2002, Math. Program. 91): how often a method is nearly the quickest."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from rbench.errors import DataError
from rbench.names import unknown
from rbench.report.problems import Problems, place_tables, problems
from rbench.report.table import Format, raw
from rbench.run.record import Record

TAUS = (1.0, 1.25, 1.5, 2.0, 4.0, 8.0, math.inf)
"""Where the table reads the profile; ∞: the target is reached at all."""


SCORED_TO = 4.0
"""The τ up to which a profile is integrated, as AlgoPerf does (Dahl et al. 2023, arXiv 2306.07179)."""


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


def score(scores: pd.DataFrame) -> "pd.Series[float]":
    """∫ ρ(τ) dτ / 3 over τ ∈ [1, 4] of each method.

    It is 1 for a method that is the quickest everywhere, 0 for one that is nowhere within four times the quickest.
    """
    return (SCORED_TO - ratios(scores)).clip(lower=0).mean() / (SCORED_TO - 1)


class SpeedUp(NamedTuple):
    """How many times quicker than the reference a method reaches targets.

    Attributes:
        mean: geometric mean of the reference's seconds over the method's; nan without a problem.
        problems: how many it is over: those where both reached the target after their first step.
    """

    mean: float
    problems: int


def reference_of(found: Problems, wanted: str | None = None) -> str:
    """The column over which speed-ups are stated.

    It is the one asked for, by SPEC or label; else `sgd`; else the first that reached most targets.

    Raises:
        DataError: no method has the name that is asked for.
    """
    scores = found.scores
    named = {found.labels[str(spec)]: str(spec) for spec in scores} | {str(spec): str(spec) for spec in scores}
    if wanted is not None and wanted not in named:
        raise DataError(unknown("method that was run on every task", wanted, named))
    return named.get(wanted or "sgd") or str(np.isfinite(scores).sum().idxmax())


def speed_ups(scores: pd.DataFrame, reference: str) -> dict[str, SpeedUp]:
    """The speed-up of each method over the reference."""
    found = {}
    for method in scores:
        both = scores[[reference, method]].set_axis(["reference", "own"], axis=1)
        both = both[((both > 0) & (both < np.inf)).all(axis=1)]
        logs = np.log(both["reference"]) - np.log(both["own"])
        found[str(method)] = SpeedUp(float(np.exp(logs.mean())), len(logs))
    return found


def render_profiles(records: Sequence[Record], form: Format, reference: str | None = None) -> str:
    """Tables of ρ, its integral and the speed-up over the reference, with notes except in `csv` and `json`.

    Raises:
        DataError: no task has a target, or there is no such reference.
    """
    found = timed_problems(records)
    if form == "json" or form == "csv":
        return raw([line for one in found for line in _lines(one, reference)], form)
    return place_tables([(one, _table(one, reference), _notes(one, reference)) for one in found], form)


def _lines(found: Problems, reference: str | None) -> list[dict[str, object]]:
    """One for each method at each τ."""
    over = reference_of(found, reference)
    integrals, quicker = score(found.scores).to_dict(), speed_ups(found.scores, over)
    shares_of: dict[str, dict[float, float]] = profile(found.scores).to_dict("index")  # type: ignore[assignment]
    return [
        {**found.place, "method": method, "tau": tau, "rho": rho, "problems": len(found.scores)}
        | {"score": integrals[method], "reference": over, "speed_up": quicker[method].mean}
        | {"speed_up_problems": quicker[method].problems}
        for method, shares in shares_of.items()
        for tau, rho in shares.items()
    ]


def _table(found: Problems, reference: str | None) -> pd.DataFrame:
    """ρ, its integral and speed-ups, in words."""
    over = reference_of(found, reference)
    table = profile(found.scores).rename(columns=_head).map("{:.2f}".format)
    table["score"] = score(found.scores).map("{:.2f}".format)
    quicker = speed_ups(found.scores, over)
    table[f"quicker than {found.labels[over]}"] = [
        speed_up_words(quicker[method], len(found.scores)) for method in table.index
    ]
    return table


def speed_up_words(found: SpeedUp, problems: int) -> str:
    """A speed-up, and of how many problems where it is not of all."""
    if not found.problems:
        return "–"
    return f"{found.mean:.2f} ×" + ("" if found.problems == problems else f" on {found.problems} of {problems}")


def _head(tau: float) -> str:
    return "ever" if math.isinf(tau) else f"within {tau:g} ×"


def _notes(found: Problems, reference: str | None) -> list[str]:
    over = found.labels[reference_of(found, reference)]
    return [
        f"Share of {counted(found)} where a method reached the target within so many times the quickest method's "
        "training seconds, or ever (Dolan and Moré 2002).",
        f"score: the share's mean over 1 to {SCORED_TO:g} times, 1 for a method that is always the quickest. "
        f"quicker than {over}: geometric mean of its seconds over the method's, where both reached the target.",
    ]


def counted(found: Problems) -> str:
    """How many problems there are, in words."""
    count = found.scores.index.get_level_values("task").nunique()
    return f"{len(found.scores)} problems, {'1 task' if count == 1 else f'{count} tasks'} at each seed,"
