"""Training: one cell, from data to figures."""

import math
from bisect import bisect_right
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import psutil

from rbench.backend import Backend
from rbench.errors import DivergedError, ShapeError, Skip, SpecError
from rbench.losses import get_loss
from rbench.methods import SGD, Batch, Method, Problem, Step
from rbench.modules import Module, Params
from rbench.random import generator
from rbench.run.cell import Budget, Cell
from rbench.run.clock import Clock, arrays_of, paired_seconds
from rbench.run.evaluate import Evaluator
from rbench.solvers import check_health
from rbench.tasks import Dataset, Task

EVALUATIONS = 10
"""Evaluations of a run, at least; every epoch ends with one."""

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
    trainer = _Trainer(cell, problem, method, feed, clock, report)
    with clock.phase("warm_up"):
        outcome.figures |= trainer.side_by_side(params)
    trainer.run(params, task, evaluate, outcome)
    outcome.figures["peak_device_bytes"] = backend.peak_device_bytes()
    outcome.figures["phase_seconds"] = clock.seconds


class Feed:
    """Batches of the training data, the same ones on every backend.

    Attributes:
        batch_size: data a batch.
        steps_per_epoch: batches an epoch; a smaller rest is left out.
    """

    def __init__(self, problem: Problem, method: Method, data: Dataset, batch_size: int, seed: int) -> None:
        backend = problem.backend
        self.batch_size = batch_size
        self.steps_per_epoch = len(data.x_train) // batch_size
        self._count, self._seed, self._problem, self._samples = len(data.x_train), seed, problem, method.samples
        self._x = backend.asarray(data.x_train)
        self._y = (backend.labels if problem.loss.integer_targets else backend.asarray)(data.y_train)
        self._outputs = _outputs(problem.net, data)
        self._order: tuple[int, np.ndarray[Any, Any]] = (-1, np.empty(0))

    def __call__(self, step: int, size: int | None = None) -> Batch:
        """The batch of a 0-based step; its first `size` data, or all."""
        backend, xp = self._problem.backend, self._problem.backend.xp
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, generator(self._seed, "order", epoch).permutation(self._count)
        size = size or self.batch_size
        chosen = backend.asarray(self._order[1][place * self.batch_size :][:size], dtype=xp.int64)
        noise = None
        if self._samples:
            draws = generator(self._seed, "samples", step)
            noise = backend.asarray(self._problem.loss.noise(draws, size, self._samples, self._outputs))
        return Batch(xp.take(self._x, chosen, axis=0), xp.take(self._y, chosen, axis=0), noise)


def _outputs(net: Module, data: Dataset) -> int:
    """Outputs of a network; checks that the data fit it."""
    (shape,) = net.out_space((data.x_train.shape[1:],))
    if shape is None or len(shape) != 1 or shape[0] is None:
        raise ShapeError(f"a task's network must return one vector, not {shape}: {net!r}")
    return shape[0]


class _Trainer:
    """The compiled step of a method and the loop around it."""

    def __init__(self, cell: Cell, problem: Problem, method: Method, feed: Feed, clock: Clock, report: Report) -> None:
        self._budget, self._problem, self._method, self._feed = cell.budget, problem, method, feed
        self._clock, self._report = clock, report
        self._total = _total_steps(cell.budget, feed.steps_per_epoch, method)
        self._step = _compiled(problem, method)

    def side_by_side(self, params: Params) -> dict[str, Any]:
        """Seconds of a step, and their ratio to SGD's in the same process, pair by pair; compiles and warms up both.

        A method whose steps differ, such as one that refreshes at intervals, is timed in each variant, and the medians
        are weighted by how often each is due.
        """
        backend, method, batch = self._problem.backend, self._method, self._feed(0)
        sgd = SGD()
        sgd_step, sgd_state = _compiled(self._problem, sgd), sgd.init(self._problem, params)
        sgd_scalars = sgd.scalars(0, self._total)
        state, scalars = method.init(self._problem, params), method.scalars(0, self._total)
        window = [method.phase(step) for step in range(min(self._total, 1000))]
        seconds = ratio = first_calls = 0.0
        for phase in sorted(set(window), key=window.index):

            def ours(phase: Hashable = phase) -> Step:
                return self._step(params, state, batch, scalars, phase=phase)

            def theirs() -> Step:
                return sgd_step(params, sgd_state, batch, sgd_scalars, phase=None)

            start = perf_counter()
            check = ours()
            backend.synchronize(arrays_of(check))
            first_calls += perf_counter() - start
            if check.health is not None:
                check_health(backend, check.health, 0)
            theirs()
            own, reference = paired_seconds(backend, ours, theirs)
            share = window.count(phase) / len(window)
            seconds += share * float(np.median(own))
            ratio += share * float(np.median(own / reference))
        compile_seconds = None if backend.eager else first_calls
        return {"step_seconds": seconds, "step_ratio_to_sgd": ratio, "compile_seconds": compile_seconds}

    def run(self, params: Params, task: Task, evaluate: Evaluator, outcome: Outcome) -> None:
        """Train to the end of the budget, evaluating at intervals."""
        method, clock = self._method, self._clock
        state = method.init(self._problem, params)
        stops = _evaluation_steps(self._total, self._feed.steps_per_epoch)
        unchecked: list[tuple[int, Step]] = []
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
                unchecked.append((done, result))
                done += 1
                if self._problem.backend.eager:
                    self._check(unchecked)
                    self._report(done, self._total)
            self._check(unchecked)

    def _check(self, unchecked: list[tuple[int, Step]]) -> None:
        """Raise for the first step whose solve failed or whose loss is not finite; empties the list."""
        backend = self._problem.backend
        for step, result in unchecked:
            if result.health is not None:
                check_health(backend, result.health, step)
            if not math.isfinite(float(result.loss)):
                raise DivergedError(f"the loss of the batch at step {step} is {float(result.loss)}; lower lr")
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


def _compiled(problem: Problem, method: Method) -> Callable[..., Step]:
    """The method's step as a function of arrays, compiled once for each phase."""

    def step(params: Params, state: Any, batch: Batch, scalars: dict[str, float], *, phase: Hashable) -> Step:
        return method.step(problem, params, state, batch, scalars, phase)

    return problem.backend.compile(step, static=("phase",))


def _check_memory(problem: Problem, method: Method, params: Params, feed: Feed) -> None:
    needed, purpose = method.workspace_bytes(problem, params, feed(0, size=1), feed.batch_size)
    free = psutil.virtual_memory().available
    if needed > free:
        raise Skip(f"would need {needed / 2**30:,.1f} GiB for {purpose}; {free / 2**30:,.1f} GiB are free")


def _total_steps(budget: Budget, steps_per_epoch: int, method: Method) -> int:
    if budget.steps is not None:
        return budget.steps
    if budget.epochs is not None:
        return budget.epochs * steps_per_epoch
    if method.schedule != "constant":
        raise SpecError(f"schedule {method.schedule!r} needs a number of steps to end at: give --epochs or --steps")
    return 1_000_000


def _evaluation_steps(total: int, steps_per_epoch: int) -> list[int]:
    """After which steps to evaluate: evenly within each epoch, and after the last step."""
    per_epoch = max(1, math.ceil(EVALUATIONS * steps_per_epoch / total))
    within = [max(1, round(steps_per_epoch * (i + 1) / per_epoch)) for i in range(per_epoch)]
    epochs = range(math.ceil(total / steps_per_epoch))
    steps = {min(total, epoch * steps_per_epoch + offset) for epoch in epochs for offset in within}
    return sorted(steps | {total})
