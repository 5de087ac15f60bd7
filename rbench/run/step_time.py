"""Seconds of a step, side by side with another method's."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from rbench.methods import SGD, Method, Step
from rbench.modules import Params
from rbench.run.clock import arrays_of, paired_seconds
from rbench.run.stepper import Stepper
from rbench.solvers import check_health

WINDOW = 1000
"""Steps over which the variants of a step are counted."""


def side_by_side(stepper: Stepper, params: Params, total: int, reference: Method | None = None) -> dict[str, Any]:
    """Median seconds of a step, and the median ratio to a reference's, timed in turn after a warm-up of both.

    A step includes the drawing of its samples. A method whose steps differ, such as one that refreshes at intervals, is
    timed in each variant, and the medians are weighted by how often each is due.

    Args:
        stepper: the method on its problem.
        params: where to step from.
        total: steps of the run.
        reference: the method to divide by; SGD with its default settings if None.

    Returns:
        `step_seconds`, `step_ratio_to_sgd`, and `compile_seconds`: what the first calls took beyond a later one, None
        for a backend whose operations need no preparation.

    Raises:
        CapacitanceError: the method fails on the first step.
    """
    backend, method = stepper.problem.backend, stepper.method
    theirs, _ = _prepared(Stepper(stepper.problem, reference or SGD(), stepper.feed), params, 0, total)
    window = [method.phase(index) for index in range(min(total, WINDOW))]
    seconds = ratio = compiling = 0.0
    for phase in dict.fromkeys(window):
        ours, first = _prepared(stepper, params, window.index(phase), total)
        own, other = paired_seconds(backend, ours, theirs)
        share = window.count(phase) / len(window)
        seconds += share * float(np.median(own))
        ratio += share * float(np.median(own / other))
        compiling += max(0.0, first - float(np.median(own)))
    return {
        "step_seconds": seconds,
        "step_ratio_to_sgd": ratio,
        "compile_seconds": None if backend.eager else compiling,
    }


def _prepared(stepper: Stepper, params: Params, index: int, total: int) -> tuple[Callable[[], Step], float]:
    """A call that makes the step of an index from the initial state, and the seconds of its first, which compiles."""
    step, state = stepper.call(index, total), stepper.method.init(stepper.problem, params)
    backend = stepper.problem.backend
    backend.synchronize()
    start = perf_counter()
    result = step(params, state)
    backend.synchronize(arrays_of(result))
    seconds = perf_counter() - start
    if result.health is not None:
        check_health(backend.to_numpy(result.health), 0)
    return lambda: step(params, state), seconds
