"""Seconds of a step, side by side with another method's."""

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any

import numpy as np

from rbench.methods import SGD, Method, Problem, Step, compile_step
from rbench.modules import Params
from rbench.run.clock import arrays_of, paired_seconds
from rbench.run.feed import Feed
from rbench.solvers import check_health

WINDOW = 1000
"""Steps over which the variants of a step are counted."""


def side_by_side(
    problem: Problem, method: Method, params: Params, feed: Feed, total: int, reference: Method | None = None
) -> dict[str, Any]:
    """Median seconds of a step, and the median ratio to a reference's, timed in turn after a warm-up of both.

    A step includes the drawing of its samples. A method whose steps differ, such as one that refreshes at intervals, is
    timed in each variant, and the medians are weighted by how often each is due.

    Args:
        problem: the problem.
        method: the method.
        params: where to step from.
        feed: its first batch is given to both.
        total: steps of the run.
        reference: the method to divide by; SGD with its default settings if None.

    Returns:
        `step_seconds`, `step_ratio_to_sgd`, and `compile_seconds`, the seconds of the first calls, None for a backend
        that does not compile.

    Raises:
        CapacitanceError: the method fails on the first step.
    """
    backend = problem.backend
    theirs, _ = _stepper(problem, reference or SGD(), params, feed, total, (reference or SGD()).phase(0))
    theirs()
    window = [method.phase(index) for index in range(min(total, WINDOW))]
    seconds = ratio = first_calls = 0.0
    for phase in dict.fromkeys(window):
        ours, first = _stepper(problem, method, params, feed, total, phase)
        first_calls += first
        own, other = paired_seconds(backend, ours, theirs)
        share = window.count(phase) / len(window)
        seconds += share * float(np.median(own))
        ratio += share * float(np.median(own / other))
    return {
        "step_seconds": seconds,
        "step_ratio_to_sgd": ratio,
        "compile_seconds": None if backend.eager else first_calls,
    }


def _stepper(
    problem: Problem, method: Method, params: Params, feed: Feed, total: int, phase: Hashable
) -> tuple[Callable[[], Step], float]:
    """A call that makes one step in a phase, and the seconds of its first, which compiles."""
    step, state, scalars = compile_step(problem, method), method.init(problem, params), method.scalars(0, total)
    batch = feed(0)

    def call() -> Step:
        noise = feed.noise(0, method.samples_in(phase))
        return step(params, state, batch._replace(noise=noise), scalars, phase=phase)

    start = perf_counter()
    result = call()
    problem.backend.synchronize(arrays_of(result))
    seconds = perf_counter() - start
    if result.health is not None:
        check_health(problem.backend, result.health, 0)
    return call, seconds
