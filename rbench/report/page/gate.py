"""What the equivalence gate found on each backend before its cells ran."""

from collections.abc import Sequence

import numpy as np

from rbench.report.pictures import Grid, Panel, Picture
from rbench.run.gate import Gate
from rbench.run.record import Record

ALL = "all checks"
"""The row of gates that name no errors of single checks, as records of earlier versions do."""


def gate_pictures(records: Sequence[Record]) -> list[Picture]:
    """The largest relative error of each check on each backend, as a heat map; none where no gate was run."""
    known = (record.gate for record in records if record.gate is not None and record.gate.cases)
    gates = list(dict.fromkeys(gate.model_copy(update={"seconds": 0.0}) for gate in known))
    if not gates:
        return []
    errors: list[dict[str, float | None]] = [dict(gate.errors) or {ALL: gate.worst} for gate in gates]
    checks = list(dict.fromkeys(check for one in errors for check in one))
    values = np.array([[_number(one.get(check)) for one in errors] for check in checks])
    words = [["" if np.isnan(value) else f"{value:.0e}" for value in row] for row in values]
    grid = Grid(x=[_where(gate) for gate in gates], y=checks, values=values, title="error", log=True, words=words)
    panel = Panel(title="", x_title="", y_title="", grid=grid)
    return [Picture("gate", "", (panel,), notes=_notes(gates))]


def _number(error: float | None) -> float:
    """An error for a logarithmic scale; none is below what float64 can tell from 0."""
    return np.nan if error is None else max(float(error), float(np.finfo(float).eps))


def _where(gate: Gate) -> str:
    return " ".join(filter(None, (gate.backend, gate.device, gate.dtype)))


def _notes(gates: Sequence[Gate]) -> tuple[str, ...]:
    about = (
        "Largest ‖found − expected‖ / ‖expected‖ of the cases of a check that were within their tolerance, against a "
        "dense float64 oracle, before the run. An error of 0 is shown as the spacing of float64, 2e-16."
    )
    missed = [f"{_where(gate)} missed: {miss}" for gate in gates for miss in gate.misses]
    return about, *missed
