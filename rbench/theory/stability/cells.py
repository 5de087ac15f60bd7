"""The experiment `stability`: how far replacing one datum moves the outputs, and what bounds say of that."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from rbench.backend import Backend
from rbench.charts import Chart
from rbench.experiment import Limits, Outcome, Report
from rbench.figures import RATIO, Figure, fields
from rbench.theory.stability.methods import PAIRS
from rbench.theory.stability.tasks import RandomFeatures, TanhNetwork
from rbench.theory.suite import CELL_FIELDS, Kinds, TheoryCell

FIGURES = (
    Figure("distance_at_1", "result", "distance at t = 1", exact=True, compared="always"),
    Figure("distance", "result", "distance", exact=True, compared="always"),
    Figure("left_out", "result", "left-out error", better=None, exact=True),
    Figure("bound", "result", "bound", better=None, exact=True),
    Figure("ratio", "result", "distance / bound", better=None, exact=True),
    Figure("trivial_bound", "result", "trivial bound", better=None, exact=True),
    Figure("bound_over_trivial", "result", "bound / trivial", better=None, exact=True),
    Figure("xi", "result", "ξ", better=None, exact=True),
    Figure("xi_share", "result", "ξnμ/κ²", better=None, exact=True),
    Figure("largest_eigenvalue", "result", "largest of Θ/n", better=None, exact=True),
    Figure("disturbance", "result", "max ‖d‖", better=None, exact=True),
    Figure("kernel_difference", "result", "max ‖k‖", better=None, exact=True),
    Figure("bound_a", "result", exact=True),
    Figure("ratio_a", "result", "distance / (a)", RATIO, better=None, exact=True),
    Figure("bound_b", "result", exact=True),
    Figure("ratio_b", "result", "distance / (b)", RATIO, better=None, exact=True),
    Figure("per_datum", "result", "distance per datum", exact=True),
    Figure("per_datum_ratio", "result", "per datum / bound", better=None, exact=True),
    Figure("contraction", "result", "contraction", RATIO, better=None, exact=True),
    Figure("outputs_apart", "result", "outputs apart", better=None, exact=True),
    Figure("weights_apart", "result", "weights apart", RATIO, better=None, exact=True),
)
"""Figures of a pair of runs; docs/theory.md derives the bounds:

- `distance` ‖f' − f‖ at the data of S when both end; `left_out` is |f' − y| at the datum that S' lacks;
- `bound` 2κ²L / (ξμ√n), with α for ξ where there is weight decay; `ratio` is `distance` over it;
- `trivial_bound` 2L√n, which needs no theory;
- `xi` the smallest and `largest_eigenvalue` the largest eigenvalue of Θ/n along both runs; `xi_share` is at most 1;
- `disturbance` and `kernel_difference` the two terms that drive f' − f;
- `bound_a`, `bound_b` the rigorous bounds at the end; `ratio_a`, `ratio_b` the largest distance over them at any time;
- `per_datum` the largest |f' − f| of a datum at the end; `per_datum_ratio` is that over 2κ²L / (αμn);
- `contraction` the largest distance of two starts' outputs over e^{−ξt} times the first one;
- `outputs_apart`, `weights_apart` the distance of their outputs, and of their weights, at the end over the first one.
"""


class Stability(TheoryCell):
    """Two trainings compared, on data and from weights that the seed draws.

    Attributes:
        n_data: n, the size of S.
    """

    summary: ClassVar[str] = "what replacing one datum changes of a module's outputs"
    fields: ClassVar[tuple[str, ...]] = (*CELL_FIELDS, "n_data", *fields(FIGURES))
    figures: ClassVar[tuple[Figure, ...]] = FIGURES
    charts: ClassVar[tuple[Chart, ...]] = (
        Chart("distance-at-1", "n_data", ("distance_at_1",), x_title="data", decades=1),
        Chart("distance", "n_data", ("distance",), x_title="data", decades=1),
        Chart("per-datum", "n_data", ("per_datum",), x_title="data", decades=1),
        Chart("bound", "n_data", ("bound", "trivial_bound"), x_title="data", y_title="bound", decades=1),
        Chart("xi", "n_data", ("xi",), x_title="data", decades=1),
    )
    task_kinds: ClassVar[Kinds] = (RandomFeatures, TanhNetwork)
    method_kinds: ClassVar[Kinds] = PAIRS
    experiment: Literal["stability"] = "stability"
    n_data: int = Field(ge=2)

    @property
    def names(self) -> tuple[str, ...]:
        return (*super().names, f"n{self.n_data}")

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        task, pair = self.make_task(), self.make_method()
        outcome.figures |= pair.measure(task, backend, self.n_data, self.seed, report)

    def words(self, figures: Mapping[str, Any]) -> str:
        if "contraction" in figures:
            return f"contraction {figures['contraction']:.3f}"
        return f"distance {figures['distance']:.2e}, bound / trivial {figures['bound_over_trivial']:.3g}"
