"""Seconds of a step, side by side with one of SGD."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rbench.methods import SGD, Step
from rbench.modules import Params
from rbench.solvers import check_health
from rbench.train.clock import paired_seconds, timed
from rbench.train.stepper import Stepper


def side_by_side(stepper: Stepper, params: Params, total: int) -> dict[str, Any]:
    """Seconds of a step, and their ratio to those of a default SGD step, timed in turn after a warm-up of both.

    A step includes the drawing of its samples. A method whose steps differ, such as one that refreshes at intervals, is
    timed in each variant, and variants are weighted by how often each is due. All steps start from `params`.

    Returns:
        `step_seconds`, a median; the ratio's median `step_ratio_to_sgd` and quartiles `step_ratio_low` and
        `step_ratio_high`; and `compile_seconds`: what the first calls took beyond a later one, None for a backend whose
        operations need no preparation.

    Raises:
        CapacitanceError: the method fails on the first step.
    """
    backend = stepper.problem.backend
    seconds = 0.0
    compiling = 0.0
    ratios = np.zeros(3)
    theirs = None
    for index, share in stepper.variants(total).items():
        ours, first = _prepared(stepper, params, index, total)
        if theirs is None:  # after the method's: a compiler may reuse parts of an earlier step
            theirs, _ = _prepared(Stepper(stepper.problem, SGD(), stepper.batches), params, 0, total)
        own, of_sgd = paired_seconds(backend, ours, theirs)
        median = float(np.median(own))
        seconds += share * median
        ratios += share * np.quantile(own / of_sgd, (0.25, 0.5, 0.75))
        compiling += max(0.0, first - median)
    low, middle, high = map(float, ratios)
    return {
        "step_seconds": seconds,
        "step_ratio_to_sgd": middle,
        "step_ratio_low": low,
        "step_ratio_high": high,
        "compile_seconds": None if backend.eager else compiling,
    }


def _prepared(stepper: Stepper, params: Params, index: int, total: int) -> tuple[Callable[[], Step], float]:
    """A call that makes the step of an index from the initial state, and the seconds of the first, which compiles."""
    backend = stepper.problem.backend
    state = stepper.start(params)
    call = partial(stepper.call(index, total), params, state)
    seconds, result = timed(backend, call)
    stepper.first_of_kind(index, total, params, state)
    if result.health is not None:
        check_health(backend.to_numpy(result.health), 0)
    return call, seconds
