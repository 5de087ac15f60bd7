"""Results of the equivalence gate, as a table by check and backend."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rbench.report.forms import written
from rbench.report.table import raw
from rbench.testing import TOLERANCE, Result


def equivalence_table(results: Sequence[Result]) -> str:
    """Markdown: a row per check, a column per backend, device and dtype, in each cell the worst relative error."""
    frame = pd.DataFrame([_row(result) for result in results])
    frame["where"] = frame[["backend", "device", "dtype"]].agg(" ".join, axis=1)
    frame["missed"] = ~frame["passed"]
    cells = frame.groupby(["check", "where"], sort=False)
    worst = cells["error"].max().unstack(sort=False)
    missed = cells["missed"].sum().unstack(sort=False)
    words = worst.map(lambda error: f"{error:.1e}") + missed.map(lambda count: f" ({count} MISSED)" if count else "")
    words.insert(0, "cases", frame.groupby("check", sort=False)["case"].nunique())
    table = words.reset_index().astype(str)
    return written(table, "markdown", set(table.columns) - {"check"})


def equivalence_notes(results: Sequence[Result]) -> list[str]:
    """Sentences on the tolerances, on cases' own tolerances with their reasons, and on every miss."""
    usual = {result.dtype: TOLERANCE[result.dtype] for result in results}
    notes = [
        "Largest ‖found − expected‖ / ‖expected‖ of each check against a dense float64 oracle; tolerance "
        + ", ".join(f"{tolerance:g} in {dtype}" for dtype, tolerance in usual.items())
        + "."
    ]
    own = {
        f"{result.case}: {result.tolerance:g} in {result.dtype}, {result.case.why}"
        for result in results
        if result.tolerance != usual[result.dtype]
    }
    notes += [f"Tolerance of its own, {words}" for words in sorted(own)]
    misses = [result for result in results if not result.passed]
    notes += [f"MISSED {result}" for result in misses]
    count = len(results)
    return [*notes, f"{len(misses)} of {count} missed." if misses else f"All {count} passed."]


def equivalence_json(results: Sequence[Result]) -> str:
    """One object per case and backend."""
    return raw([_row(result) for result in results], "json")


def _row(result: Result) -> dict[str, Any]:
    names = ("backend", "device", "dtype", "error", "tolerance", "passed", "message")
    return {"check": result.case.check, "case": result.case.name, **{name: getattr(result, name) for name in names}}
