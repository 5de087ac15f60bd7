"""The seconds of a method's step by part: forward, pullback, metric, solve and apply."""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from rbench.backend import Backend
from rbench.figures import STEP_PARTS
from rbench.methods.base import Method, map_blocks
from rbench.methods.curved import Curved
from rbench.metrics import Batch, Problem, Treatment, pull_gradient
from rbench.modules import Params
from rbench.train.clock import timed
from rbench.train.stepper import Stepper

BUDGET, FEWEST = 1.0, 3
"""Seconds to spend on a variant of the step, and the fewest rounds."""

REPEATS = 10
"""How often at most a call is repeated within a round."""


class Beginnings(NamedTuple):
    """What a step begins with, longer and longer, compiled: functions of parameters and a batch.

    Attributes:
        forward: the loss.
        pushed: the loss, and the parameters moved along a push.
        pullback: the loss's cotangents at the layers, or the gradient where a method takes that.
        metric: the metric's rows pulled back beside those, for a `phase`; the same as `pullback` without a metric.
    """

    forward: Callable[..., Any]
    pushed: Callable[..., Any]
    pullback: Callable[..., Any]
    metric: Callable[..., Any]


def breakdown(stepper: Stepper, params: Params, total: int) -> dict[str, float]:
    """Seconds of the parts of a step, which add up to the quickest step's.

    A step cannot be stopped in the middle without changing it, least of all where a backend compiles it whole. So what
    it begins with is timed on its own, longer and longer, in turn with the whole step, each until its results are
    ready. Each counts by its quickest call, because other work on a machine only adds, and a part is the difference of
    two:

    - `forward` the loss, with what it takes to call a function;
    - `pullback` the loss's cotangents pulled back to the layers, or the gradient where a method takes that;
    - `metric` samples drawn, and the metric's rows pulled back; 0 in a variant of the step without;
    - `apply` a push added to the weights, timed behind the loss;
    - `solve` the rest of the step: weight products, factoring, solving, momentum, fit.

    A part near the noise of the clock may be negative. Variants of the step count by their share of `total` steps.

    Returns:
        Seconds by the names of `rbench.figures.STEP_PARTS`.
    """
    begin = beginnings(stepper.problem, stepper.method)
    seconds = np.zeros(len(STEP_PARTS))
    for index, share in stepper.variants(total).items():
        forward, pushed, pullback, metric, step = _seconds(stepper, begin, params, index, total)
        apply = pushed - forward
        seconds += share * np.array([forward, pullback - forward, metric - pullback, step - metric - apply, apply])
    return {figure.name: float(value) for figure, value in zip(STEP_PARTS, seconds, strict=True)}


def beginnings(problem: Problem, method: Method) -> Beginnings:
    """The beginnings of a method's step."""
    backend = problem.backend

    def pushed(params: Params, batch: Batch) -> Any:
        return problem.value(params, batch), map_blocks(lambda w: backend.add_scaled(w, -0.1, w), params)

    if not isinstance(method, Curved):
        forward, push, pullback = map(backend.compile, (problem.value, pushed, problem.gradient))
        return Beginnings(forward, push, pullback, pullback)

    def pulled(params: Params, batch: Batch) -> Any:
        loss, layers = pull_gradient(problem, params, batch)
        return loss, [layer.cotangents for layer in layers]

    def with_rows(params: Params, batch: Batch, *, phase: Any) -> Any:
        treatment: Treatment = getattr(method, "batch", "stack")
        loss, parts = method.pull(problem, params, batch, treatment, rows=method.pulls_rows(phase))
        return loss, [layer.cotangents for part in parts for layer in part]

    forward, push, pullback = map(backend.compile, (problem.value, pushed, pulled))
    return Beginnings(forward, push, pullback, backend.compile(with_rows, static=("phase",)))


def _seconds(stepper: Stepper, begin: Beginnings, params: Params, index: int, total: int) -> list[float]:
    """Seconds of all beginnings of the step of an index, and of the whole step."""
    method, batch = stepper.method, stepper.batches(index)
    phase = method.phase(index)
    samples = method.samples_in(phase)

    def metric() -> Any:
        return begin.metric(params, batch._replace(noise=stepper.batches.noise(index, samples)), phase=phase)

    first = [partial(function, params, batch) for function in begin[:3]]
    whole = partial(stepper.call(index, total), params, stepper.start(params))
    if isinstance(method, Curved) and (samples or method.pulls_rows(phase)):
        return quickest(stepper.problem.backend, [*first, metric, whole])
    *found, step = quickest(stepper.problem.backend, [*first, whole])
    return [*found, found[-1], step]


def quickest(backend: Backend, calls: list[Callable[[], Any]]) -> list[float]:
    """Seconds of the quickest of several synchronised calls of each, made in turn after one of each to warm up.

    Short calls are made several times in a round, as many as fit into the longest, since one that follows a long call
    is the likeliest to be interrupted.
    """
    for call in calls:
        timed(backend, call)
    rounds = [[timed(backend, call)[0] for call in calls]]
    repeats = [int(np.clip(max(rounds[0]) / max(seconds, 1e-9), 1, REPEATS)) for seconds in rounds[0]]
    start = perf_counter()
    while len(rounds) < FEWEST or perf_counter() - start < BUDGET:
        pairs = zip(calls, repeats, strict=True)
        rounds.append([min(timed(backend, call)[0] for _ in range(count)) for call, count in pairs])
    return [float(value) for value in np.min(rounds, axis=0)]
