"""The seconds of a method's step by part: forward, pullback, metric, solve and apply."""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from rbench.figures import STEP_PARTS
from rbench.methods.base import map_blocks
from rbench.methods.curved import Curved
from rbench.metrics import Batch, pull_gradient
from rbench.modules import Params
from rbench.train.clock import timed
from rbench.train.stepper import Stepper

BUDGET, FEWEST, MOST = 1.0, 5, 50
"""Seconds to spend on a variant of the step, and the fewest and most rounds."""


def breakdown(stepper: Stepper, params: Params, total: int) -> dict[str, float]:
    """Seconds of the parts of a step, which add up to the step's.

    A step cannot be stopped in the middle without changing it, least of all where a backend compiles it whole. So what
    it begins with is timed on its own, longer and longer, in turn with the whole step, each until its results are
    ready. Each counts by its quickest call: on a shared machine short calls between long ones are interrupted, which
    only adds. A part is a difference, and may be negative by the noise of the clock:

    - `forward` the loss;
    - `pullback` the loss's cotangents pulled back to the layers, or the gradient where a method takes that;
    - `metric` samples drawn, and the metric's rows pulled back beside them; 0 for a method without;
    - `apply` a push added to the weights, timed apart;
    - `solve` what is left of the step: factoring, solving, momentum, fit.

    Variants of the step count by their share of `total` steps.

    Returns:
        Seconds by the names of `rbench.figures.STEP_PARTS`.
    """
    seconds = np.zeros(len(STEP_PARTS))
    for index, share in stepper.variants(total).items():
        forward, pullback, *metric, step, apply = _quickest(stepper, _beginnings(stepper, params, index, total))
        rows = metric[0] - pullback if metric else 0.0
        seconds += share * np.array([forward, pullback - forward, rows, step - pullback - rows - apply, apply])
    return {figure.name: float(value) for figure, value in zip(STEP_PARTS, seconds, strict=True)}


def _beginnings(stepper: Stepper, params: Params, index: int, total: int) -> list[Callable[[], Any]]:
    """What a step of an index begins with, longer and longer, and the whole step; then its last part alone."""
    problem, method = stepper.problem, stepper.method
    compiled = problem.backend.compile
    phase, batch = method.phase(index), stepper.batches(index)
    curved = method if isinstance(method, Curved) else None

    def pulled(params: Params, batch: Batch) -> Any:
        if curved is None:
            return problem.gradient(params, batch)
        loss, layers = pull_gradient(problem, params, batch)
        return loss, [layer.cotangents for layer in layers]

    def with_rows(curved: Curved, params: Params, batch: Batch) -> Any:
        loss, parts = curved.pull(
            problem, params, batch, getattr(curved, "batch", "stack"), rows=curved.pulls_rows(phase)
        )
        return loss, [layer.cotangents for part in parts for layer in part]

    forward, pullback = compiled(problem.value), compiled(pulled)
    apply = compiled(lambda params: map_blocks(lambda w: problem.backend.add_scaled(w, -0.1, w), params))

    calls: list[Callable[[], Any]] = [partial(forward, params, batch), partial(pullback, params, batch)]
    if curved is not None:
        metric = compiled(partial(with_rows, curved))

        def drawn() -> Any:
            noise = stepper.batches.noise(index, method.samples_in(phase))
            return metric(params, batch._replace(noise=noise))

        calls.append(drawn)
    whole = partial(stepper.call(index, total), params, stepper.start(params))
    return [*calls, whole, partial(apply, params)]


def _quickest(stepper: Stepper, calls: list[Callable[[], Any]]) -> list[float]:
    """Seconds of the quickest of several synchronised calls of each, made in turn after one of each to warm up."""
    backend = stepper.problem.backend
    for call in calls:
        timed(backend, call)
    seconds: list[list[float]] = []
    start = perf_counter()
    while len(seconds) < MOST and (len(seconds) < FEWEST or perf_counter() - start < BUDGET):
        seconds.append([timed(backend, call)[0] for call in calls])
    return [float(value) for value in np.min(seconds, axis=0)]
