"""Training: one cell, from data to figures."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from rbench.backend import Array, Backend
from rbench.errors import DataError, DivergedError
from rbench.experiment import NO_LIMITS, Limits, Outcome, Report
from rbench.losses import get_loss
from rbench.methods import Problem, State, Step
from rbench.methods.base import WINDOW
from rbench.modules import Params
from rbench.solvers import check_health
from rbench.tasks import Dataset, Task
from rbench.tasks.dataset import checksum
from rbench.train.batches import Batches
from rbench.train.budget_progress import BudgetProgress
from rbench.train.clock import Clock, timed
from rbench.train.evaluate import Evaluator
from rbench.train.memory import check_memory
from rbench.train.step_time import side_by_side
from rbench.train.stepper import Stepper, Steps

if TYPE_CHECKING:
    from rbench.train.cell import Training


class Setup(NamedTuple):
    """What a cell trains with.

    Attributes:
        stepper: the method on its problem and batches.
        data: the data set.
        params: the initial parameters.
    """

    stepper: Stepper
    data: Dataset
    params: Params


def set_up(cell: "Training", backend: Backend) -> Setup:
    """Make a cell's data, network and method.

    Raises:
        DataError: the data are not available.
    """
    task = cell.make_task()
    data = task.dataset(cell.unofficial_data, backend.dtype)
    problem = Problem(backend, task.network(), get_loss(task.loss))
    batches = Batches(problem, data, task.batch_size, cell.seed_of("order"), cell.seed_of("samples"))
    params = task.initial(problem.net, backend, cell.seed_of("weights"))
    return Setup(Stepper(problem, cell.make_method(), batches), data, params)


def train(
    cell: "Training",
    backend: Backend,
    outcome: Outcome,
    report: Report = lambda step, total: None,
    limits: Limits = NO_LIMITS,
) -> None:
    """Run a cell and fill in its outcome.

    Args:
        cell: what to run.
        backend: the backend that the cell names.
        outcome: filled while the run goes on.
        report: called with the steps done and the steps to do.
        limits: on its memory; and the checksum of `rbench.tasks.dataset.checksum` that its data must have.

    Raises:
        Skip: the method does not fit into memory, or into what the limit leaves.
        CapacitanceError, DivergedError: training broke down numerically; the message names the step.
        DataError: the data are not available, or are others.
    """
    clock = Clock(backend)
    with clock.phase("data"):
        stepper, data, params = set_up(cell, backend)
        if limits.checksum is not None and checksum(data) != limits.checksum:
            raise DataError(
                f"{cell.task}: the data are not those that the run found: the task makes other data at each load, and "
                "no table should mix them; let it draw them from a seed of its own, such as a setting data_seed"
            )
        evaluate = Evaluator(stepper.problem, data)
    outcome.figures |= {
        "n_parameters": sum(layer.n_parameters for layer in stepper.problem.net.layers),
        "dataset_sha256": data.sha256,
        "dataset_official": data.official,
    }
    progress = BudgetProgress(cell.budget, stepper.batches.steps_per_epoch)
    with clock.phase("warm_up"):
        check_memory(stepper, params, limits.memory)
        total = progress.total(0, 0.0)
        outcome.figures |= side_by_side(stepper, params, total)
        if not progress.timed:
            # Later kinds are prepared as they come.
            stops = [min(round(mark * total), WINDOW) for mark in progress.marks]
            _add(outcome.figures, "compile_seconds", stepper.compile_loops(params, stops, total))
    clock.move(outcome.figures["compile_seconds"] or 0.0, "warm_up", "compile")
    try:
        _Loop(stepper, progress, clock, report).run(params, cell.make_task(), evaluate, outcome)
    finally:
        outcome.figures["phase_seconds"] = clock.read()


class _Made(NamedTuple):
    """The steps of one call.

    Attributes:
        steps: how many.
        result: what they return.
        seconds: how long they took.
    """

    steps: int
    result: Step | Steps
    seconds: float


class _Loop:
    """The training loop of one cell."""

    def __init__(self, stepper: Stepper, progress: BudgetProgress, clock: Clock, report: Report) -> None:
        self._stepper, self._progress, self._clock, self._report = stepper, progress, clock, report

    def run(self, params: Params, task: Task, evaluate: Evaluator, outcome: Outcome) -> None:
        """Train to the end of the budget, evaluating at the progress's marks.

        The loop waits for each batch and then for its call: on an asynchronous device an upload would wait for the step
        before it, whose time would then count as the data's.
        """
        clock, progress = self._clock, self._progress
        with clock.phase("warm_up"):
            state, done = self._stepper.start(params), 0
        if progress.from_start:
            self._evaluate(params, done, task, evaluate, outcome)
        over = False
        while not over and (fraction := progress.fraction(done, clock.seconds["step"])) < 1:
            self._report(done, progress.total(done, clock.seconds["step"]))
            mark = progress.next_mark(fraction)
            while progress.fraction(done, clock.seconds["step"]) < mark:
                made = self._make(done, mark, params, state, outcome)
                if over := progress.over(clock.seconds["step"]):
                    clock.move(made.seconds, "step", "other")
                    break
                params, state = made.result.params, made.result.state
                self._check(done, made.result.loss, made.result.health)
                done += made.steps
                self._report(done, progress.total(done, clock.seconds["step"]))
            if not (over and outcome.history and outcome.history[-1]["step"] == done):
                self._evaluate(params, done, task, evaluate, outcome)

    def _make(self, done: int, mark: float, params: Params, state: State, outcome: Outcome) -> _Made:
        """Make the next step, or the next ones in one call.

        The first call of a kind is made twice, first without effect, so that no compilation counts as a step.
        """
        stepper, clock, progress = self._stepper, self._clock, self._progress
        total = progress.total(done, clock.seconds["step"])
        several = not progress.timed and stepper.loops_from(done, round(mark * total))
        with clock.phase("data"):
            call = (stepper.calls if several else stepper.call)(done, total)
        first = None
        if stepper.first_of_kind(done, total, params, state, several=several):
            with clock.phase("warm_up"):
                first = timed(stepper.problem.backend, lambda: call(params, state))
        before = clock.seconds["step"]
        with clock.phase("step"):
            result = call(params, state)
        seconds = clock.seconds["step"] - before
        if first is not None:
            clock.move(max(0.0, first - seconds), "warm_up", "compile")
            _add(outcome.figures, "compile_seconds", max(0.0, first - seconds))
        return _Made(stepper.steps_per_call if several else 1, result, seconds)

    def _check(self, first: int, losses: Array, healths: Array | None) -> None:
        """Raise for a call's first step that failed or whose loss is not finite."""
        backend = self._stepper.problem.backend
        values = backend.to_numpy(losses).reshape(-1)
        rows = None if healths is None else backend.to_numpy(healths).reshape(len(values), -1)
        for index, loss in enumerate(values):
            if rows is not None:
                check_health(rows[index], first + index)
            if not math.isfinite(loss):
                raise DivergedError(f"the loss of the batch at step {first + index} is {loss}; lower lr")

    def _evaluate(self, params: Params, done: int, task: Task, evaluate: Evaluator, outcome: Outcome) -> None:
        seconds = self._clock.seconds["step"]
        with self._clock.phase("evaluation"):
            figures = evaluate(params)
        if not math.isfinite(figures["train_loss"]):
            raise DivergedError(f"the training loss after step {done} is {figures['train_loss']}; lower lr")
        outcome.history.append({"step": done, "seconds": seconds, **figures})
        outcome.figures |= {"steps": done, "train_seconds": seconds, **figures}
        if task.target is not None:
            reached = [point["seconds"] for point in outcome.history if task.target.reached(point)]
            outcome.figures |= {"target_reached": bool(reached), "seconds_to_target": reached[0] if reached else None}


def _add(figures: dict[str, Any], name: str, value: float) -> None:
    """Add to a figure, unless it does not apply."""
    if figures[name] is not None:
        figures[name] += value
