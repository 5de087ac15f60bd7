"""Analysis of sweeps: how fast time and memory grow, where one method overtakes another."""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rbench.cost import network
from rbench.figures import PEAK_HOST, STEP_SECONDS, significant
from rbench.report.frame import Row, grouped
from rbench.spec import parse

FEWEST_POINTS = 3
"""Fewest points of a fit; two have no uncertainty."""


class Series(NamedTuple):
    """One method on one backend as one size grows.

    Attributes:
        sweep: what grows.
        backend: backend, device, dtype and environment.
        label: the method, by the settings in which the sweep's methods differ.
        rows: rows with figures, smallest first.
    """

    sweep: str
    backend: str
    label: str
    rows: list[Row]

    def points(self, figure: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Sizes, and a figure at each size where it is known and above 0."""
        known = [row for row in self.rows if row[figure]]
        return np.array([row["size"] for row in known], float), np.array([row[figure] for row in known], float)


def series_of(rows: Iterable[Row]) -> list[Series]:
    """The series of rows with `rbench.cost.COST_FIELDS`, in their order."""
    measured = [row for row in rows if row["sweep"] and row["status"] == "ok"]
    found = grouped(with_names(measured), lambda named: named[0])
    return [Series(*names, sorted((row for _, row in own), key=itemgetter("size"))) for names, own in found.items()]


def with_names(rows: Sequence[Row]) -> list[tuple[tuple[str, str, str], Row]]:
    """Each row with the names of its series: what grows, the backend, and the method's label."""
    labels = _labels(rows)
    return [((row["sweep"], _place(row), labels[row["method"]]), row) for row in rows]


def exponent(sizes: ArrayLike, values: ArrayLike, decades: float = 1) -> tuple[float, float, float] | None:
    """p of y = c xᵖ over the largest decade of sizes x, or more decades, by least squares of log y in log x.

    Returns:
        p, and the lower and upper end of its 95 % interval, by Student's t over the residuals; None with fewer than 3
        points there.
    """
    from scipy import stats

    x, y = np.asarray(sizes, float), np.asarray(values, float)
    chosen = (x >= x.max(initial=0) / 10**decades) & (y > 0)
    if chosen.sum() < FEWEST_POINTS:
        return None
    fit = stats.linregress(np.log(x[chosen]), np.log(y[chosen]))
    # SciPy returns nan as the error of a constant, whose residuals are zero.
    error = 0.0 if np.isnan(fit.stderr) else float(fit.stderr)
    spread = float(stats.t.ppf(0.975, chosen.sum() - 2)) * error
    return float(fit.slope), float(fit.slope) - spread, float(fit.slope) + spread


def paper_operations(row: Row) -> float:
    """The paper's operations per step: Σ_l n_l d² + d³ by Woodbury, and Σ_l n_l³ by inversion (arXiv 2603.03610)."""
    net, shape = network(row["network"])
    ((d,),) = net.out_space((shape,))  # type: ignore[misc]
    sizes = [layer.n_parameters for layer in net.layers]
    inverts = {"inverse", "dense"} & {str(value) for value in parse(row["method"])[1].values()}
    return float(sum(n**3 if inverts else n * int(d or 0) ** 2 + int(d or 0) ** 3 for n in sizes))


def crossover(first: Series, second: Series, figure: str) -> tuple[float, bool] | None:
    """The size from which the first series lies below the second, up to the largest that both have.

    Between sizes, logarithms are interpolated linearly.

    Returns:
        That size, and whether the first series lies below at every common size; None where it lies above at the largest
        common size, or there is no common size.
    """
    one, other = (dict(zip(*series.points(figure), strict=True)) for series in (first, second))
    common = sorted(set(one) & set(other))
    gaps = [math.log(one[size] / other[size]) for size in common]
    if not common or gaps[-1] > 0:
        return None
    above = [index for index, gap in enumerate(gaps) if gap > 0]
    if not above:
        return common[0], True
    before = above[-1]
    share = gaps[before] / (gaps[before] - gaps[before + 1])
    start, stop = math.log(common[before]), math.log(common[before + 1])
    return math.exp(start + share * (stop - start)), False


def exponent_table(found: Sequence[Series]) -> pd.DataFrame:
    """A row per series: sizes measured, and exponents of time, counted operations, the paper's count and memory."""
    lines = []
    for series in found:
        sizes, seconds = series.points(STEP_SECONDS.name)
        papers = [paper_operations(row) for row in series.rows]
        names = {"grows": series.sweep, "backend": series.backend, "solver": series.label}
        exponents = {
            "time": _written(exponent(sizes, seconds), interval=True),
            "counted": _written(exponent(*series.points("operations")), interval=False),
            "paper": _written(exponent([row["size"] for row in series.rows], papers), interval=False),
            "memory": _written(exponent(*series.points(PEAK_HOST.name)), interval=True),
        }
        lines.append({**names, "measured": f"{sizes.min():,.0f}–{sizes.max():,.0f}", **exponents})
    return pd.DataFrame(lines)


def crossover_table(found: Sequence[Series]) -> pd.DataFrame:
    """Which of two series of a sweep is quicker and which takes less memory, and from which size.

    A row for each pair with the sweep's first series, and for each other pair that crosses.
    """
    lines = []
    firsts = {(series.sweep, series.backend): series for series in reversed(found)}
    for one, other in combinations(found, 2):
        if (one.sweep, one.backend) != (other.sweep, other.backend):
            continue
        quicker, less = (_lower(one, other, figure.name) for figure in (STEP_SECONDS, PEAK_HOST))
        if one is firsts[one.sweep, one.backend] or " from " in quicker or " from " in less:
            names = {"grows": one.sweep, "backend": one.backend, "solvers": f"{one.label} | {other.label}"}
            lines.append({**names, "quicker": quicker, "less memory": less})
    return pd.DataFrame(lines)


def _place(row: Row) -> str:
    """Backend, device, dtype and environment in words."""
    return " ".join(row[name] for name in ("backend", "device", "dtype", "environment") if row.get(name))


def _labels(rows: Sequence[Row]) -> dict[str, str]:
    """Each method's label: the values of the settings in which methods differ, or its name where none do."""
    parsed = {spec: parse(spec) for spec in dict.fromkeys(row["method"] for row in rows)}
    keys = dict.fromkeys(key for _, settings in parsed.values() for key in settings)
    differ = [key for key in keys if len({str(settings.get(key)) for _, settings in parsed.values()}) > 1]
    return {
        spec: ", ".join(str(settings[key]) for key in differ if key in settings) or name
        for spec, (name, settings) in parsed.items()
    }


def _written(found: tuple[float, float, float] | None, *, interval: bool) -> str:
    if found is None:
        return "–"
    p, low, high = found
    return f"{p:.2f} ({low:.2f}–{high:.2f})" if interval else f"{p:.2f}"


def _lower(one: Series, other: Series, figure: str) -> str:
    for first, second in ((one, other), (other, one)):
        if found := crossover(first, second, figure):
            size, everywhere = found
            return first.label + (" at every size" if everywhere else f" from {significant(size)} on")
    return "no size in common"
