"""The experiment `action`: how far an integrator's path is from the one of least action, and how fast that falls."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from rbench.backend import Backend
from rbench.charts import Chart
from rbench.experiment import Limits, Outcome, Report
from rbench.figures import RATIO, Figure, fields
from rbench.theory.action.excess import euler_constants, excess
from rbench.theory.action.flows import TanhFlow
from rbench.theory.action.path import INTEGRATORS, Euler
from rbench.theory.suite import CELL_FIELDS, Kinds, TheoryCell

FIGURES = (
    Figure("gap", "result", "gap", exact=True, compared="always"),
    Figure("gap_order", "result", "order of gap", RATIO, better=None, exact=True),
    Figure("gap_over_predicted", "result", "gap / predicted", RATIO, better=None, exact=True),
    Figure("speed_gap", "result", "speed gap", exact=True),
    Figure("direction_gap", "result", "direction gap", exact=True),
    Figure("hamiltonian", "result", "max |H|", exact=True, compared="always"),
    Figure("hamiltonian_order", "result", "order of |H|", RATIO, better=None, exact=True),
    Figure("hamiltonian_over_predicted", "result", "|H| / predicted", RATIO, better=None, exact=True),
)
"""Figures of a path:

- `gap` S − |ΔE|, of which `speed_gap` is due to timing and `direction_gap` to its course;
- `hamiltonian` the largest |H|;
- orders: log₂ of the ratio to the path with half as many segments;
- over predicted: Euler's, to the leading term of the gap and of |H|.
"""


class Action(TheoryCell):
    """The excess action of one path, from weights that the seed draws.

    Attributes:
        segments: N, of the path.
    """

    summary: ClassVar[str] = "the action of an integrator's path, beyond the fall of the loss"
    fields: ClassVar[tuple[str, ...]] = (*CELL_FIELDS, "segments", *fields(FIGURES))
    figures: ClassVar[tuple[Figure, ...]] = FIGURES
    charts: ClassVar[tuple[Chart, ...]] = (
        Chart("gap", "segments", ("gap",), x_title="segments", y_title="S − |ΔE|", decades=1),
        Chart("hamiltonian", "segments", ("hamiltonian",), x_title="segments", y_title="max |H|", decades=1),
    )
    task_kinds: ClassVar[Kinds] = (TanhFlow,)
    method_kinds: ClassVar[Kinds] = INTEGRATORS
    experiment: Literal["action"] = "action"
    segments: int = Field(ge=2)

    @property
    def names(self) -> tuple[str, ...]:
        return (*super().names, f"n{self.segments}")

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        task, integrator = self.make_task(), self.make_method()
        field = task.field(backend)
        start = task.start(backend, self.seed)
        paths = [
            integrator.integrate(lambda w: task.sign * field(w).velocity, start, task.seconds / count, count)
            for count in (self.segments // 2, self.segments)
        ]
        coarse, fine = (excess(field, path, task.sign) for path in paths)
        outcome.figures |= {
            "gap": fine.gap,
            "gap_order": math.log2(coarse.gap / fine.gap),
            "speed_gap": fine.speed,
            "direction_gap": fine.direction,
            "hamiltonian": fine.hamiltonian,
            "hamiltonian_order": math.log2(coarse.hamiltonian / fine.hamiltonian),
        }
        if isinstance(integrator, Euler):
            of_gap, of_h = euler_constants(field, paths[1])
            outcome.figures |= {
                "gap_over_predicted": fine.gap / (of_gap * paths[1].h ** 2),
                "hamiltonian_over_predicted": fine.hamiltonian / (of_h * paths[1].h),
            }

    def words(self, figures: Mapping[str, Any]) -> str:
        return f"gap {figures['gap']:.2e}, order {figures['gap_order']:.2f}"
