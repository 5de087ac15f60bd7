"""Seconds of a step, side by side with SGD's."""

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any

import numpy as np

from rbench.methods import SGD, Batch, Method, Problem, Step
from rbench.modules import Params
from rbench.run.clock import arrays_of, paired_seconds
from rbench.solvers import check_health

WINDOW = 1000
"""Steps over which the variants of a step are counted."""


def compiled(problem: Problem, method: Method) -> Callable[..., Step]:
    """The method's step as a function of arrays, compiled once for each phase."""

    def step(params: Params, state: Any, batch: Batch, scalars: dict[str, float], *, phase: Hashable) -> Step:
        return method.step(problem, params, state, batch, scalars, phase)

    return problem.backend.compile(step, static=("phase",))


def side_by_side(
    problem: Problem, method: Method, step: Callable[..., Step], params: Params, batch: Batch, total: int
) -> dict[str, Any]:
    """Median seconds of a step, and the median ratio to SGD's, timed in turn; compiles and warms up both.

    SGD has its default settings. A method whose steps differ, such as one that refreshes at intervals, is timed in each
    variant, and the medians are weighted by how often each is due.

    Args:
        problem: the problem.
        method: the method.
        step: its compiled step.
        params: where to step from.
        batch: the batch that both are given.
        total: steps of the run.

    Returns:
        `step_seconds`, `step_ratio_to_sgd` and `compile_seconds`, the last None for a backend that does not compile.

    Raises:
        CapacitanceError: the method fails on the first step.
    """
    backend, sgd = problem.backend, SGD()
    sgd_step, sgd_state, sgd_scalars = compiled(problem, sgd), sgd.init(problem, params), sgd.scalars(0, total)
    state, scalars = method.init(problem, params), method.scalars(0, total)

    def theirs() -> Step:
        return sgd_step(params, sgd_state, batch, sgd_scalars, phase=None)

    window = [method.phase(index) for index in range(min(total, WINDOW))]
    seconds = ratio = first_calls = 0.0
    for phase in dict.fromkeys(window):

        def ours(phase: Hashable = phase) -> Step:
            return step(params, state, batch, scalars, phase=phase)

        start = perf_counter()
        first = ours()
        backend.synchronize(arrays_of(first))
        first_calls += perf_counter() - start
        if first.health is not None:
            check_health(backend, first.health, 0)
        theirs()
        own, reference = paired_seconds(backend, ours, theirs)
        share = window.count(phase) / len(window)
        seconds += share * float(np.median(own))
        ratio += share * float(np.median(own / reference))
    return {
        "step_seconds": seconds,
        "step_ratio_to_sgd": ratio,
        "compile_seconds": None if backend.eager else first_calls,
    }
