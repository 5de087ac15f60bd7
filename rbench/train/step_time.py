"""Seconds of a step, side by side with another method's."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from rbench.methods import SGD, Step
from rbench.methods.base import WINDOW
from rbench.modules import Params
from rbench.solvers import check_health
from rbench.train.clock import arrays_of, paired_seconds
from rbench.train.stepper import Stepper


class Variant(NamedTuple):
    """One variant of a method's step, and its timing beside another method's.

    Attributes:
        share: its share of all steps.
        seconds: of each timed step, (pairs,).
        others: seconds of the other method's step in the same pair, (pairs,).
        first: seconds of the first call, which compiles.
    """

    share: float
    seconds: np.ndarray[Any, Any]
    others: np.ndarray[Any, Any]
    first: float


def paired_steps(stepper: Stepper, params: Params, total: int) -> list[Variant]:
    """Time each variant of a method's step in turn with a default SGD step, after a warm-up of both.

    A step includes the drawing of its samples. A method whose steps differ, such as one that refreshes at intervals, is
    timed in each variant.

    Args:
        stepper: the method on its problem.
        params: where to step from.
        total: steps of the run.

    Raises:
        CapacitanceError: the method fails on the first step.
    """
    backend, method = stepper.problem.backend, stepper.method
    window = [method.phase(index) for index in range(min(total, WINDOW))]
    found: list[Variant] = []
    for phase in dict.fromkeys(window):
        ours, first = _prepared(stepper, params, window.index(phase), total)
        if not found:  # after the method's: a compiler may reuse parts of an earlier step
            theirs, _ = _prepared(Stepper(stepper.problem, SGD(), stepper.batches), params, 0, total)
        found.append(Variant(window.count(phase) / len(window), *paired_seconds(backend, ours, theirs), first))
    return found


def side_by_side(stepper: Stepper, params: Params, total: int) -> dict[str, Any]:
    """Median seconds of a step, and the median ratio to one of SGD; variants are weighted by how often each is due.

    Args:
        stepper: the method on its problem.
        params: where to step from.
        total: steps of the run.

    Returns:
        `step_seconds`, `step_ratio_to_sgd`, and `compile_seconds`: what the first calls took beyond a later one, None
        for a backend whose operations need no preparation.

    Raises:
        CapacitanceError: the method fails on the first step.
    """
    found = paired_steps(stepper, params, total)
    compiling = sum(max(0.0, variant.first - float(np.median(variant.seconds))) for variant in found)
    return {
        "step_seconds": sum(variant.share * float(np.median(variant.seconds)) for variant in found),
        "step_ratio_to_sgd": sum(
            variant.share * float(np.median(variant.seconds / variant.others)) for variant in found
        ),
        "compile_seconds": None if stepper.problem.backend.eager else compiling,
    }


def _prepared(stepper: Stepper, params: Params, index: int, total: int) -> tuple[Callable[[], Step], float]:
    """A call that makes the step of an index from the initial state, and the seconds of the first, which compiles."""
    step = stepper.call(index, total)
    state = stepper.start(params)
    backend = stepper.problem.backend
    backend.synchronize()
    start = perf_counter()
    result = step(params, state)
    backend.synchronize(arrays_of(result))
    seconds = perf_counter() - start
    stepper.first_of_kind(index, total, params, state)
    if result.health is not None:
        check_health(backend.to_numpy(result.health), 0)
    return lambda: step(params, state), seconds
