"""The experiment `statement`: a statement of the paper, held against a computation."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from rbench.backend import Backend
from rbench.errors import SpecError
from rbench.experiment import Limits, Outcome, Report
from rbench.figures import Figure, fields
from rbench.theory.action import circuit, constrained, implicit, motion
from rbench.theory.action.flows import TanhFlow
from rbench.theory.action.statement import Found
from rbench.theory.suite import CELL_FIELDS, Kinds, TheoryCell

FIGURES = (
    Figure("measured", "result", "measured", better=None, exact=True),
    Figure("predicted", "result", "predicted", better=None, exact=True),
    Figure("error", "result", "error", exact=True, compared="always"),
    Figure("allowed", "result", "allowed", better=None, exact=True),
    Figure("control", "result", "control", better=None, exact=True),
)
"""Figures of a statement: what it says and what was found; `error` is their difference, over `predicted` where that is
not zero; `control` is what is measured where a condition of the statement is broken. A statement holds where its error
is at most `allowed`, and the control's is not."""


class StatementCell(TheoryCell):
    """A statement held against a computation; its method is the statement."""

    summary: ClassVar[str] = "a statement of the paper, held against a computation"
    fields: ClassVar[tuple[str, ...]] = (*CELL_FIELDS, "holds", *fields(FIGURES))
    figures: ClassVar[tuple[Figure, ...]] = FIGURES
    task_kinds: ClassVar[Kinds] = (TanhFlow, implicit.ImplicitFlow, implicit.IndexOne, circuit.RLC)
    method_kinds: ClassVar[Kinds] = (
        *motion.STATEMENTS,
        *constrained.STATEMENTS,
        *implicit.STATEMENTS,
        *circuit.STATEMENTS,
    )
    experiment: Literal["statement"] = "statement"

    @classmethod
    def check(cls, cells: Sequence["StatementCell"], *, here: bool) -> None:
        for cell in dict.fromkeys(cells):
            if refusal := cell.make_method().refuses(cell.make_task()):
                raise SpecError(f"{cell.method} {refusal}, not {cell.task}")

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        statement = self.make_method()
        found = statement.find(self.make_task(), backend, self.seed)
        outcome.figures |= {**found._asdict(), "error": found.error, "allowed": statement.allowed}

    def row(self, figures: Mapping[str, Any], history: Any) -> dict[str, Any]:
        own = super().row(figures, history)
        if (error := figures.get("error")) is not None:
            control = figures.get("control")
            told_apart = control is None or Found(control, figures["predicted"]).error > figures["allowed"]
            own["holds"] = "yes" if error <= figures["allowed"] and told_apart else "no"
        return own

    def words(self, figures: Mapping[str, Any]) -> str:
        return f"error {figures['error']:.1e}, allowed {figures['allowed']:.1e}"
