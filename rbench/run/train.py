"""Training: one cell, from data to figures."""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from rbench.backend import Array, Backend
from rbench.errors import DivergedError, Skip
from rbench.losses import get_loss
from rbench.methods import Method, Problem, Step
from rbench.modules import Params
from rbench.run.cell import Budget, Cell
from rbench.run.clock import Clock
from rbench.run.evaluate import Evaluator
from rbench.run.feed import Feed
from rbench.run.step_time import compiled, side_by_side
from rbench.solvers import check_health
from rbench.tasks import Task

EVALUATIONS = 10
"""Evaluations of a run, at least; every epoch ends with one."""

UNLIMITED = 1_000_000
"""Steps of a run whose budget is seconds."""

Report = Callable[[int, int], None]


@dataclass
class Outcome:
    """What a training run found; kept up to date while it runs, so that a failure loses nothing.

    Attributes:
        history: an evaluation each: step, training seconds until then, figures.
        figures: fields of the record's row.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def train(cell: Cell, backend: Backend, outcome: Outcome, report: Report = lambda step, total: None) -> None:
    """Run a cell and fill in its outcome.

    Args:
        cell: what to run.
        backend: the backend that the cell names.
        outcome: filled while the run goes on.
        report: called with the steps done and the steps to do.

    Raises:
        Skip: the method needs more memory than there is.
        CapacitanceError, DivergedError: training left the numbers; the message names the step.
        DataError: the data cannot be had.
    """
    task, method = cell.make_task(), cell.make_method()
    clock = Clock(backend)
    with clock.phase("data"):
        data = task.dataset(cell.unofficial_data)
        problem = Problem(backend, task.network(), get_loss(task.loss))
        feed = Feed(problem, method, data, task.batch_size, cell.seed)
        evaluate = Evaluator(problem, data)
    params = task.initial(problem.net, backend, cell.seed)
    outcome.figures |= {
        "n_parameters": sum(layer.n_parameters for layer in problem.net.layers),
        "dataset_sha256": data.sha256,
        "dataset_official": data.official,
    }
    _check_memory(problem, method, params, feed)
    total = _total_steps(cell.budget, feed.steps_per_epoch)
    step = compiled(problem, method)
    with clock.phase("warm_up"):
        outcome.figures |= side_by_side(problem, method, step, params, feed(0), total)
    _Loop(cell.budget, problem, method, step, total, feed, clock, report).run(params, task, evaluate, outcome)
    outcome.figures["peak_device_bytes"] = backend.peak_device_bytes()
    outcome.figures["phase_seconds"] = clock.seconds


class _Loop:
    """The training loop of one cell."""

    def __init__(
        self,
        budget: Budget,
        problem: Problem,
        method: Method,
        step: Callable[..., Step],
        total: int,
        feed: Feed,
        clock: Clock,
        report: Report,
    ) -> None:
        self._budget, self._problem, self._method, self._feed = budget, problem, method, feed
        self._total, self._clock, self._report = total, clock, report
        self._step = step

    def run(self, params: Params, task: Task, evaluate: Evaluator, outcome: Outcome) -> None:
        """Train to the end of the budget, evaluating at intervals."""
        method, clock = self._method, self._clock
        state = method.init(self._problem, params)
        stops = _evaluation_steps(self._total, self._feed.steps_per_epoch)
        unchecked: list[tuple[int, Array, Array | None]] = []
        done = 0
        while True:
            self._evaluate(params, done, task, evaluate, outcome)
            self._report(done, self._total)
            if done >= self._total or clock.seconds["step"] >= (self._budget.seconds or math.inf):
                return
            stop = stops[bisect_right(stops, done)]
            while done < stop and clock.seconds["step"] < (self._budget.seconds or math.inf):
                with clock.phase("data"):
                    batch = self._feed(done)
                scalars = method.scalars(done, self._total)
                with clock.phase("step", wait=done + 1 == stop):
                    result = self._step(params, state, batch, scalars, phase=method.phase(done))
                params, state = result.params, result.state
                unchecked.append((done, result.loss, result.health))
                done += 1
                if self._problem.backend.eager:
                    self._check(unchecked)
                    self._report(done, self._total)
            self._check(unchecked)

    def _check(self, unchecked: list[tuple[int, Array, Array | None]]) -> None:
        """Raise for the first step whose solve failed or whose loss is not finite; empties the list."""
        backend = self._problem.backend
        for step, loss, health in unchecked:
            if health is not None:
                check_health(backend, health, step)
            if not math.isfinite(float(loss)):
                raise DivergedError(f"the loss of the batch at step {step} is {float(loss)}; lower lr")
        unchecked.clear()

    def _evaluate(self, params: Params, done: int, task: Task, evaluate: Evaluator, outcome: Outcome) -> None:
        seconds = self._clock.seconds["step"]
        with self._clock.phase("evaluation"):
            figures = evaluate(params)
        if not math.isfinite(figures["train_loss"]):
            raise DivergedError(f"the training loss after step {done} is {figures['train_loss']}; lower lr")
        outcome.history.append({"step": done, "seconds": seconds, **figures})
        outcome.figures |= {"steps": done, "train_seconds": seconds, **figures}
        if task.target is None:
            outcome.figures["seconds_to_target"] = None
        else:
            reached = [h["seconds"] for h in outcome.history if task.target.reached(h)]
            outcome.figures["seconds_to_target"] = reached[0] if reached else math.inf


def _check_memory(problem: Problem, method: Method, params: Params, feed: Feed) -> None:
    needed, purpose = method.workspace_bytes(problem, params, feed(0, size=1), feed.batch_size)
    free = psutil.virtual_memory().available
    if needed > free:
        raise Skip(f"would need {needed / 2**30:,.1f} GiB for {purpose}; {free / 2**30:,.1f} GiB are free")


def _total_steps(budget: Budget, steps_per_epoch: int) -> int:
    if budget.steps is not None:
        return budget.steps
    if budget.epochs is not None:
        return budget.epochs * steps_per_epoch
    return UNLIMITED


def _evaluation_steps(total: int, steps_per_epoch: int) -> list[int]:
    """After which steps to evaluate: evenly within each epoch, and after the last step."""
    per_epoch = max(1, math.ceil(EVALUATIONS * steps_per_epoch / total))
    within = [max(1, round(steps_per_epoch * (i + 1) / per_epoch)) for i in range(per_epoch)]
    epochs = range(math.ceil(total / steps_per_epoch))
    steps = {min(total, epoch * steps_per_epoch + offset) for epoch in epochs for offset in within}
    return sorted(steps | {total})
