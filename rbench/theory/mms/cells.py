"""The experiment `mms`: minimizing movements by an inner solver, beside the exact ones."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from rbench.backend import Backend
from rbench.charts import Chart
from rbench.errors import DivergedError
from rbench.experiment import Limits, Outcome, Report
from rbench.figures import PERCENT, SECONDS, Figure, fields
from rbench.theory.mms.energies import norm
from rbench.theory.mms.gauss_newton import GaussNewton
from rbench.theory.mms.latent import LatentDiffusion
from rbench.theory.mms.movements import Movements, Run
from rbench.theory.mms.pictures import file_name, write_pictures
from rbench.theory.mms.solvers import LBFGS, AdamSolver, FirstOrder, GradientDescent
from rbench.theory.mms.tasks import NonlinearRegression
from rbench.theory.suite import CELL_FIELDS, Kinds, TheoryCell

FIGURES = (
    Figure("reached", "result", "δ reached", PERCENT, "higher", exact=True),
    Figure("inner_iterations", "result", "iterations", whole=True, exact=True, compared="always"),
    Figure("inner_seconds", "time", "inner", SECONDS, compared="when asked"),
    Figure("local_error", "result", "local error", exact=True),
    Figure("certificate", "result", "certificate", exact=True),
    Figure("certificate_ratio", "result", exact=True, better=None),
    Figure("trajectory_error", "result", "trajectory error", exact=True),
    Figure("bound_trajectory", "result", "bound of trajectory", better=None, exact=True),
    Figure("final_distance", "result", "final distance", exact=True),
    Figure("bound_final", "result", "bound of final", better=None, exact=True),
    Figure("denoiser_distance", "result", "to D*", exact=True),
    Figure("zero_distance", "result", "of 0 to D*", better=None, exact=True),
    Figure("energy_distance", "result", "of samples", exact=True),
    Figure("energy_distance_exact", "result", "of D*'s samples", better=None, exact=True),
    Figure("convexity", "result", "λ", better=None, exact=True),
    Figure("learning_rate", "result", "rate", better=None, exact=True),
    Figure("tries", "result", better=None, whole=True, exact=True),
    Figure("tries_iterations", "result", better=None, whole=True, exact=True),
    Figure("tries_seconds", "time", "tries", SECONDS, better=None),
)
"""Figures of a run of K outer steps:

- `reached` the share of outer steps whose local error came to δ; `inner_iterations` and `inner_seconds` of all of them,
  with the best rate; `tries` rates were tried, at `tries_iterations` and `tries_seconds` beyond these;
- `local_error` the largest; `certificate` the largest bound of it that needs no resolvent, and `certificate_ratio` the
  least of certificate / local error, which is at least 1;
- `trajectory_error` the largest distance to the exact trajectory; `bound_trajectory` δ(1 + τλ)/(τλ), where the points
  are the same in all steps and δ was reached in every one, with λ = `convexity`, the least e'' on the way;
- `final_distance` to the minimiser; `bound_final` is `bound_trajectory` + (1 + τλ)^(−K) times the start's distance;
- of latent diffusion `denoiser_distance`, to the exact denoiser D* at noisy latents of test images, where that of 0 is
  `zero_distance`; `energy_distance` of its samples to the test latents, where D*'s have `energy_distance_exact`.
"""


class Mms(TheoryCell):
    """Minimizing movements of a network that the seed initialises, each solved to within δ.

    Attributes:
        delta: δ, at which an inner solve ends; 0 for solves that all end by their number of iterations.
    """

    summary: ClassVar[str] = "minimizing movements of a network, solved inexactly, beside the exact ones"
    fields: ClassVar[tuple[str, ...]] = (*CELL_FIELDS, "delta", *fields(FIGURES))
    figures: ClassVar[tuple[Figure, ...]] = FIGURES
    charts: ClassVar[tuple[Chart, ...]] = (
        Chart("final", "delta", ("final_distance",), x_title="δ", decades=math.inf, complete="reached"),
        Chart("iterations", "delta", ("inner_iterations",), x_title="δ", complete="reached"),
        Chart("seconds", "delta", ("inner_seconds",), x_title="δ", complete="reached"),
    )
    task_kinds: ClassVar[Kinds] = (NonlinearRegression, LatentDiffusion)
    method_kinds: ClassVar[Kinds] = (GaussNewton, AdamSolver, GradientDescent, LBFGS)
    experiment: Literal["mms"] = "mms"
    delta: float = Field(ge=0, allow_inf_nan=False)

    @property
    def names(self) -> tuple[str, ...]:
        return (*super().names, f"d{self.delta:g}")

    @property
    def data(self) -> tuple[str, bool] | None:
        spec = self.make_task().data
        return None if spec is None else (spec, False)

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        task, method = self.make_task(), self.make_method()
        movements = Movements(backend, task, method, self.seed)
        movements.warm_up()
        total = (len(method.rates) + 1) * task.outer

        def attempt(rate: float, index: int, *, to_the_end: bool) -> Run:
            made = index * task.outer
            tell = lambda k: report(made + k, total)  # noqa: E731
            return movements.run(rate, self.delta, to_the_end=to_the_end or self.delta == 0, tell=tell)

        tries: list[Run] = []
        if len(method.rates) > 1:
            tries = [attempt(rate, index, to_the_end=False) for index, rate in enumerate(method.rates)]
        ranks = [rank(one, self.delta) for one in tries]
        rate = method.rates[ranks.index(min(ranks))] if ranks else method.rates[0]
        found = attempt(rate, len(method.rates), to_the_end=True)
        if not np.isfinite(found.errors[-1]):
            raise DivergedError(f"outer step {len(found.errors)} left the finite numbers at the rate {rate:g}")
        outcome.figures |= self._figures(movements, found) | {
            "learning_rate": rate if isinstance(method, FirstOrder) else None,
            "tries": len(tries),
            "tries_iterations": sum(sum(one.iterations) for one in tries),
            "tries_seconds": sum(one.seconds for one in tries),
        }
        figures, attachment = movements.points.judged(lambda x: movements.outputs(found.params, x))
        outcome.figures |= figures
        outcome.attachment |= attachment
        outcome.history += [
            {"step": k + 1, "iterations": own[0], "local_error": own[1], "distance": own[2]}
            for k, own in enumerate(zip(found.iterations, found.errors, found.distances, strict=True))
        ]

    def _figures(self, movements: Movements, found: Run) -> dict[str, Any]:
        scheme, steps = movements.scheme, movements.task.outer
        minimiser = scheme.energy.minimiser(movements.y)
        curvature = scheme.energy.curvature(np, minimiser, movements.y)
        convexity = min(found.convexity, float(curvature.min()))
        growth = 1 + scheme.tau * convexity
        reached = found.reached(self.delta)
        holds = all(reached) and growth > 1 and movements.points.fixed
        bound = self.delta * growth / (growth - 1) if holds else None
        pairs = zip(found.certificates, found.errors, strict=True)
        away = [norm(movements.at_reference(params) - minimiser) for params in (movements.start, found.params)]
        return {
            "reached": sum(reached) / len(reached),
            "inner_iterations": sum(found.iterations),
            "inner_seconds": found.seconds,
            "local_error": max(found.errors),
            "certificate": max(found.certificates),
            "certificate_ratio": min((c / e for c, e in pairs if e), default=None),
            "trajectory_error": max(found.distances),
            "bound_trajectory": bound,
            "final_distance": away[1],
            "bound_final": None if bound is None else bound + growth**-steps * away[0],
            "convexity": convexity,
        }

    @classmethod
    def publish(cls, directory: Path, records: Sequence[Any]) -> None:
        pictures: dict[str, dict[str, Any]] = {}
        for record in records:
            if "pictures" in record.attachment:
                cell, images = record.cell, dict(record.attachment["pictures"])
                own = images.pop("network")
                name = file_name(cell.suite, cell.task, cell.backend, f"s{cell.seed}", f"d{cell.delta:g}")
                pictures.setdefault(name, images)[cell.method] = own
        for name, rows in pictures.items():
            write_pictures(directory / name, rows)

    def words(self, figures: Mapping[str, Any]) -> str:
        return f"{figures['inner_iterations']} iterations, final distance {figures['final_distance']:.2e}"


def rank(run: Run, delta: float) -> tuple[int, float, float]:
    """A key that is least for the best try.

    It made the most outer steps within δ; if all, with the fewest iterations; else it ended nearest to the exact u.
    """
    reached = sum(run.reached(delta))
    iterations = sum(run.iterations) if all(run.reached(delta)) else 0
    return -reached, iterations, run.distances[-1] if np.isfinite(run.distances[-1]) else np.inf
