"""Training: one cell, from data to figures."""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rbench.backend import Backend
from rbench.errors import DataError, DivergedError
from rbench.experiment import Limits, Outcome, Report
from rbench.losses import get_loss
from rbench.methods import Problem, State, Step
from rbench.modules import Params
from rbench.solvers import check_health
from rbench.tasks import Dataset
from rbench.tasks.base import Target
from rbench.tasks.dataset import checksum
from rbench.train.batches import Batches
from rbench.train.budget_progress import BudgetProgress
from rbench.train.clock import Clock, timed
from rbench.train.evaluate import Evaluator
from rbench.train.memory import check_memory
from rbench.train.step_time import side_by_side
from rbench.train.stepper import Stepper

if TYPE_CHECKING:
    from rbench.train.cell import Training


def set_up(cell: "Training", backend: Backend) -> tuple[Stepper, Dataset, Params]:
    """What a cell trains with: its method on its problem and batches, the data, and the initial parameters.

    Raises:
        DataError: the data are not available.
    """
    task = cell.make_task()
    data = task.dataset(cell.unofficial_data, backend.dtype)
    problem = Problem(backend, task.network(), get_loss(task.loss))
    batches = Batches(problem, data, task.batch_size, cell.seed_of("order"), cell.seed_of("samples"))
    params = task.initial(problem.net, backend, cell.seed_of("weights"))
    return Stepper(problem, cell.make_method(), batches), data, params


def train(cell: "Training", backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
    """Run a cell and fill in its outcome, as `Cell.run` says.

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
        times = side_by_side(stepper, params, progress.total(0, 0.0))
        outcome.figures |= {name: times[name] for name in ("step_seconds", "step_ratio_to_sgd", "compile_seconds")}
    clock.move(outcome.figures["compile_seconds"] or 0.0, "warm_up", "compile")
    try:
        _Loop(stepper, params, evaluate, cell.make_task().target, progress, clock, report, outcome).run()
    finally:
        outcome.figures["phase_seconds"] = clock.read()


@dataclass
class _Loop:
    """The training loop of one cell, the steps done, and the method's state after them."""

    stepper: Stepper
    params: Params
    evaluate: Evaluator
    target: Target | None
    progress: BudgetProgress
    clock: Clock
    report: Report
    outcome: Outcome
    done: int = 0
    state: State = None

    def run(self) -> None:
        """Train to the end of the budget, evaluating at the progress's marks."""
        with self.clock.phase("warm_up"):
            self.state = self.stepper.start(self.params)
        if self.progress.from_start:
            self._evaluate()
        over = False
        while not over and (fraction := self._fraction()) < 1:
            self._tell()
            mark = self.progress.next_mark(fraction)
            while not over and self._fraction() < mark:
                steps, result, seconds = self._make(mark)
                over = self.progress.over(self.clock.seconds["step"])
                if over:
                    self.clock.move(seconds, "step", "other")
                else:
                    self._check(result)
                    self.params = result.params
                    self.state = result.state
                    self.done += steps
                    self._tell()
            if not (over and self.outcome.history and self.outcome.history[-1]["step"] == self.done):
                self._evaluate()

    def _fraction(self) -> float:
        return self.progress.fraction(self.done, self.clock.seconds["step"])

    def _total(self) -> int:
        return self.progress.total(self.done, self.clock.seconds["step"])

    def _tell(self) -> None:
        self.report(self.done, self._total())

    def _make(self, mark: float) -> tuple[int, Step, float]:
        """Make the next step, or the next ones in one call; returns how many, their result and their seconds.

        The batch is waited for, and then the call: on an asynchronous device an upload would wait for the step before
        it, whose time would then count as the data's. The first call of a kind is made twice, first without effect, so
        that no compilation counts as a step.
        """
        stepper = self.stepper
        clock = self.clock
        total = self._total()
        several = not self.progress.timed and stepper.loops_from(self.done, round(mark * total))
        with clock.phase("data"):
            make = (stepper.calls if several else stepper.call)(self.done, total)
        call = partial(make, self.params, self.state)
        first = None
        if stepper.first_of_kind(self.done, total, self.params, self.state, several=several):
            with clock.phase("warm_up"):
                first, _ = timed(stepper.problem.backend, call)
        before = clock.seconds["step"]
        with clock.phase("step"):
            result = call()
        seconds = clock.seconds["step"] - before
        if first is not None:
            compiling = max(0.0, first - seconds)
            clock.move(compiling, "warm_up", "compile")
            self.outcome.figures["compile_seconds"] += compiling
        return stepper.steps_per_call if several else 1, result, seconds

    def _check(self, result: Step) -> None:
        """Raise for a call's first step that failed or whose loss is not finite."""
        backend = self.stepper.problem.backend
        losses = backend.to_numpy(result.loss).reshape(-1)
        healths = None if result.health is None else backend.to_numpy(result.health).reshape(len(losses), -1)
        for index, loss in enumerate(losses):
            if healths is not None:
                check_health(healths[index], self.done + index)
            if not math.isfinite(loss):
                raise DivergedError(f"the loss of the batch at step {self.done + index} is {loss}; lower lr")

    def _evaluate(self) -> None:
        outcome = self.outcome
        seconds = self.clock.seconds["step"]
        with self.clock.phase("evaluation"):
            figures = self.evaluate(self.stepper.evaluated(self.params, self.state))
        if not math.isfinite(figures["train_loss"]):
            raise DivergedError(f"the training loss after step {self.done} is {figures['train_loss']}; lower lr")
        outcome.history.append({"step": self.done, "seconds": seconds, **figures})
        outcome.figures |= {"steps": self.done, "train_seconds": seconds, **figures}
        if self.target is not None:
            reached = [point["seconds"] for point in outcome.history if self.target.reached(point)]
            outcome.figures |= {"target_reached": bool(reached), "seconds_to_target": reached[0] if reached else None}
