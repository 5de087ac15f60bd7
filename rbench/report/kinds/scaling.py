"""Time and memory of a step as a size grows, with fitted exponents."""

from collections.abc import Sequence
from dataclasses import replace

from rbench.cost import COST_FIELDS
from rbench.errors import DataError
from rbench.figures import PEAK_HOST, STEP_SECONDS, Figure
from rbench.report.cost import cost_rows, endings
from rbench.report.frame import grouped
from rbench.report.pictures import Panel, Picture, Trace
from rbench.report.scaling import Series, exponent, series_of
from rbench.run.record import Record

DRAWN = {"time": STEP_SECONDS, "memory": PEAK_HOST}

SIZES = {"n": "n, parameters", "d": "d, outputs", "batch": "data in a batch", "depth": "layers"}
"""What the horizontal axis is called."""


def scaling_pictures(records: Sequence[Record]) -> list[Picture]:
    """Time and memory over size, a picture for each size that grows; the legend has the exponents fitted to them.

    Raises:
        DataError: no record is of a sweep, or none ended ok.
    """
    rows = cost_rows([record for record in records if record.cell.fields == COST_FIELDS])
    found = series_of(rows)
    if not found:
        raise DataError("no scaling: no cell of a sweep ended ok")
    several = len({series.backend for series in found}) > 1
    by_sweep = grouped(found, lambda series: series.sweep)
    pictures = [
        _picture(sweep, own, [row for row in rows if row["sweep"] == sweep], several) for sweep, own in by_sweep.items()
    ]
    return [replace(one, title=one.panels[0].x_title) for one in pictures] if len(pictures) > 1 else pictures


def _picture(sweep: str, found: Sequence[Series], rows: list[dict[str, object]], several: bool) -> Picture:
    title = SIZES.get(sweep, sweep)
    panels = []
    for words, figure in DRAWN.items():
        traces = [
            Trace(
                series.label + (f", {series.backend}" if several else ""),
                sizes,
                values * figure.unit.factor,
                note=_note(words, series, figure),
            )
            for series in found
            for sizes, values in (series.points(figure.name),)
            if len(sizes)
        ]
        if traces:
            unit = f"{figure.unit.symbol} per step" if figure is STEP_SECONDS else f"peak {figure.unit.symbol}"
            panels.append(Panel("", title, unit, tuple(traces), log="xy"))
    notes = "In brackets: the exponents p of c · sizeᵖ, fitted over the largest decade measured."
    return Picture("scaling", "", tuple(panels), across=len(panels), notes=(notes, *endings(rows)))


def _note(words: str, series: Series, figure: Figure) -> str:
    fitted = exponent(*series.points(figure.name))
    return f"{words} {fitted[0]:.2f}" if fitted else ""
