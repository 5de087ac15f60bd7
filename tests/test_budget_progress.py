"""When a run is evaluated and ends, and how often each variant of a step counts in its time."""

import numpy as np
import pytest

from rbench import Linear
from rbench.errors import Skip, SpecError
from rbench.losses import get_loss
from rbench.methods import SGD, Batch, Problem
from rbench.methods.base import WINDOW
from rbench.run import Budget
from rbench.train import step_time
from rbench.train.budget import MOST_EVALUATIONS
from rbench.train.budget_progress import EVALUATIONS, BudgetProgress
from rbench.train.stepper import Stepper


@pytest.mark.parametrize("budget", [Budget(epochs=3), Budget(steps=60), Budget(steps=7), Budget(epochs=20)])
def test_steps_are_evaluated_at_the_ends_of_epochs_and_of_the_run(budget):
    progress, per_epoch = BudgetProgress(budget, 20), 20
    total = progress.total(0, 0.0)
    assert total == (budget.steps or budget.epochs * per_epoch)
    stops = [round(mark * total) for mark in progress.marks]
    assert stops == sorted(set(stops))
    assert stops[-1] == total
    assert set(range(per_epoch, total, per_epoch)) <= set(stops)
    assert len(stops) >= min(total, EVALUATIONS)
    assert [progress.fraction(stop, 1e9) for stop in stops] == progress.marks
    assert progress.next_mark(0.0) == progress.marks[0]


@pytest.mark.parametrize(
    ("budget", "stops"),
    [
        (Budget(steps=60, evaluations=3), [20, 40, 60]),
        (Budget(epochs=3, evaluations=1), [60]),
        (Budget(epochs=2, evaluations=3), [13, 27, 40]),
        (Budget(steps=2, evaluations=2), [1, 2]),
    ],
)
def test_as_many_evaluations_as_are_asked_for_are_even_and_the_last_is_at_the_end(budget, stops):
    progress = BudgetProgress(budget, 20)
    assert [round(mark * progress.total(0, 0.0)) for mark in progress.marks] == stops
    assert not progress.from_start
    assert BudgetProgress(budget.length, 20).from_start


def test_more_evaluations_than_steps_are_a_reason_not_to_run():
    with pytest.raises(Skip, match="evaluated 41 times, but 2 epochs are 40 steps; lower `evaluations`"):
        BudgetProgress(Budget(epochs=2, evaluations=41), 20)
    assert len(BudgetProgress(Budget(epochs=2, evaluations=40), 20).marks) == 40


@pytest.mark.parametrize("budget", [Budget(epochs=10**15), Budget(steps=10**15), Budget(steps=10**9)], ids=str)
def test_the_marks_of_a_long_run_are_bounded_and_found_at_once(budget):
    progress = BudgetProgress(budget, 20)
    assert len(progress.marks) == MOST_EVALUATIONS
    assert (progress.marks[-1], progress.next_mark(0.0), progress.next_mark(progress.marks[-2])) == (
        1.0,
        progress.marks[0],
        1.0,
    )
    with pytest.raises(SpecError, match=r"evaluations=.*less than or equal to 100000"):
        Budget(steps=10**18, evaluations=99999999999999999)


def test_a_budget_of_seconds_is_evaluated_as_often_as_is_asked_for():
    assert BudgetProgress(Budget(seconds=2.0, evaluations=4), 20).marks == [0.25, 0.5, 0.75, 1.0]


def test_seconds_are_evaluated_evenly_and_extrapolated_to_steps():
    progress = BudgetProgress(Budget(seconds=2.0), 20)
    assert progress.marks == pytest.approx(np.arange(1, 11) / 10)
    assert progress.fraction(5, 0.5) == 0.25
    assert progress.total(5, 0.5) == 20
    assert progress.total(5, 4.0) == 6
    assert progress.total(0, 0.0) > WINDOW


class Refreshing(SGD):
    """SGD that has another variant every fourth step."""

    def phase(self, step):
        return step % 4 == 0


@pytest.mark.parametrize("budget", [Budget(steps=400), Budget(seconds=1.0)])
def test_the_variants_of_a_step_count_by_their_share(monkeypatch, backend, budget):
    problem, costs = Problem(backend, Linear(2, 2), get_loss("cross_entropy")), iter([9.0, 1.0])

    def paired(backend, ours, theirs):
        cost = next(costs)
        return np.array([cost] * 3), np.ones(3)

    class OneBatch:
        def __call__(self, step):
            return Batch(np.ones((3, 2)), np.array([0, 1, 0]), None)

        def noise(self, step, samples):
            return None

    monkeypatch.setattr(step_time, "paired_seconds", paired)
    total = BudgetProgress(budget, 20).total(0, 0.0)
    found = step_time.side_by_side(Stepper(problem, Refreshing(), OneBatch()), problem.net.init(backend), total)
    assert found["step_seconds"] == found["step_ratio_to_sgd"] == pytest.approx((9 + 3 * 1) / 4)
