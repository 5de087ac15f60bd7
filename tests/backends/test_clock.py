"""Times on a backend that returns before its work is done, and compiles first; by a clock that the test turns.

Nothing here sleeps but `test_waiting_in_real_time`: a call costs `LAUNCH` seconds of the host and `WORK` of the device.
"""

from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from helpers.faults import cell
from helpers.lagging import COMPILING, LAUNCH, STEPS_PER_CALL, WORK, LaggingBackend, RealWatch, Watch, leaves
from helpers.registered import registered
from rbench.backend import BackendPlugin
from rbench.errors import DivergedError
from rbench.experiment import Limits, Outcome
from rbench.methods import SGD
from rbench.run import Budget
from rbench.run.worker import run_cell
from rbench.train.batches import Batches
from rbench.train.budget_progress import BudgetProgress
from rbench.train.clock import Clock, Phase, paired_seconds, timed
from rbench.train.evaluate import Evaluator
from rbench.train.stepper import Stepper
from rbench_numpy.backend import NumpyBackend

STEPS, PER_EPOCH = 400, 40
TASK = f"two-spirals[n_train={10 * PER_EPOCH},n_test=20,batch_size=10,hidden=[8],activation=relu]"
BREAKS = 16


class Breaks(SGD):
    """SGD whose step of index `BREAKS` leaves the finite numbers."""

    name = "breaks"
    summary = "breaks at a known step"

    def scalars(self, step, total):
        return {"lr": float("nan") if step == BREAKS else 0.1}


LATE = 1200


class Late(SGD):
    """SGD with another variant of its step from the index `LATE` on."""

    name = "late"
    summary = "changes its phase behind the steps whose variants are timed"

    def phase(self, step):
        return step >= LATE


class Grows(SGD):
    """SGD whose state holds the losses so far, up to three: arrays of other shapes at the first steps."""

    name = "grows"
    summary = "its state grows"

    def init(self, problem, params):
        return super().init(problem, params), np.zeros(0)

    def step(self, problem, params, state, batch, scalars, phase):
        velocity, losses = state
        result = super().step(problem, params, velocity, batch, scalars, phase)
        losses = np.append(losses, result.loss) if len(losses) < 3 else losses
        return result._replace(state=(result.state, losses))


@pytest.fixture
def watch(monkeypatch):
    """The watch that runs look at in place of the time of day."""
    turned = Watch()
    monkeypatch.setattr("rbench.train.clock.perf_counter", turned)
    return turned


@pytest.fixture
def lagging(watch):
    """Runs a cell on a lagging backend with the attributes given; returns its record, figures and backend."""
    made = SimpleNamespace(backend=None, options={})

    def create(dtype, device):
        made.backend = LaggingBackend(dtype, device, watch)
        vars(made.backend).update(made.options)
        return made.backend

    def run(method="sgd[lr=0.1]", budget=None, backend="lagging", **options):
        made.options = options
        settings = {"dtype": "float64", "budget": budget or Budget(steps=STEPS)}
        record = run_cell(cell(method, backend, TASK, **settings))
        return SimpleNamespace(record=record, backend=made.backend, **record.figures)

    backend = BackendPlugin("lagging", create, lambda: None, "returns before its work is done")
    with registered(backends=[backend], methods=[Breaks, Late, Grows]):
        yield run


def test_times_are_those_of_the_device(lagging):
    done = lagging()
    assert done.record.status == "ok", done.record.reason
    assert done.step_seconds == pytest.approx(LAUNCH + WORK)
    assert done.step_ratio_to_sgd == pytest.approx(1)
    assert STEPS * WORK < done.train_seconds <= STEPS * (WORK + LAUNCH) * (1 + 1e-9)
    assert done.phase_seconds["step"] == done.train_seconds
    assert done.phase_seconds["evaluation"] == pytest.approx(0)
    seconds = [entry["seconds"] for entry in done.record.history]
    assert all(entry["step"] * WORK <= entry["seconds"] for entry in done.record.history)
    assert seconds == sorted(seconds)


def test_the_first_call_counts_as_compilation(lagging):
    done = lagging()
    assert done.compile_seconds == pytest.approx(COMPILING)
    assert done.phase_seconds["compile"] == done.compile_seconds
    assert done.phase_seconds["warm_up"] > COMPILING
    assert done.train_seconds == pytest.approx(STEPS * (WORK + LAUNCH))


def test_without_waiting_the_times_would_be_those_of_the_queue(lagging):
    done = lagging(waits=False)
    assert done.record.status == "ok", done.record.reason
    assert done.step_seconds == pytest.approx(LAUNCH)
    assert done.train_seconds == pytest.approx(STEPS * LAUNCH)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("breaks", f"the loss of the batch at step {BREAKS + 1} is"),
        ("riemannian[output_metric=ggn_mc,lr=1e200]", "the matrix of layer 0 could not be factored at step 1"),
    ],
)
@pytest.mark.parametrize("loops", [False, True], ids=["a step a call", "many steps a call"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_step_that_diverges_is_named(lagging, method, words, loops):
    done, eager = lagging(method, loops=loops), lagging(method, backend="numpy")
    assert done.record.status == eager.record.status == "diverged"
    assert words in done.record.reason
    assert done.record.reason == eager.record.reason


ALL = STEPS // STEPS_PER_CALL


@pytest.mark.parametrize(
    ("method", "loops"),
    [
        ("sgd[lr=0.1,schedule=linear]", {ALL}),
        ("riemannian[output_metric=ggn_mc,lr=0.1]", {ALL}),
        ("kfac[refresh=15]", range(ALL // 3, ALL)),
        ("kfac[refresh=5]", {0}),
    ],
)
def test_many_steps_a_call_train_as_one_by_one(lagging, method, loops):
    one, many = lagging(method), lagging(method, loops=True)
    assert one.record.status == many.record.status == "ok", many.record.reason
    assert [entry["step"] for entry in many.record.history] == [entry["step"] for entry in one.record.history]
    compiling, *calls = many.backend.loop_calls or [STEPS_PER_CALL]
    assert len(calls) in loops
    assert {compiling, *calls} == {STEPS_PER_CALL}
    assert one.backend.loop_calls == []
    for first, second in zip(leaves(one.backend.params), leaves(many.backend.params), strict=True):
        np.testing.assert_array_equal(first, second)
    for name in ("train_loss", "test_loss", "test_accuracy"):
        assert [entry[name] for entry in many.record.history] == [entry[name] for entry in one.record.history]


def test_the_compilation_of_calls_of_many_steps_is_no_step(lagging):
    done = lagging(loops=True)
    assert done.compile_seconds == pytest.approx(2 * COMPILING)
    assert done.phase_seconds["compile"] == done.compile_seconds
    assert STEPS * WORK < done.train_seconds <= STEPS * (WORK + LAUNCH) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("method", "budget", "later"),
    [
        ("late", Budget(steps=LATE + 200), 1),
        ("late", Budget(seconds=(LATE + 200) * (WORK + LAUNCH)), 1),
        ("grows", Budget(steps=STEPS), 3),
        ("kfac[refresh=1500]", Budget(steps=1600), 0),
    ],
    ids=str,
)
def test_what_compiles_while_training_goes_on_is_no_step(lagging, method, budget, later):
    done = lagging(method, budget=budget)
    assert done.record.status == "ok", done.record.reason
    assert done.train_seconds == pytest.approx(done.steps * (WORK + LAUNCH))
    variants = 1 + later + method.startswith("kfac")
    assert done.compile_seconds == pytest.approx(variants * COMPILING)
    assert done.phase_seconds["compile"] == pytest.approx(done.compile_seconds)
    assert max(np.diff([entry["seconds"] for entry in done.record.history])) < 0.2 * done.train_seconds


def test_before_a_long_run_nothing_is_looked_at_that_comes_later(lagging, monkeypatch):
    looked, until = [], Stepper.loops_from
    monkeypatch.setattr(
        Stepper, "loops_from", lambda self, first, stop: looked.append(stop) or until(self, first, stop)
    )
    monkeypatch.setattr(BudgetProgress, "fraction", lambda self, done, seconds: 1.0)
    done = lagging("sgd", loops=True, budget=Budget(steps=10**7))
    assert done.record.status == "ok"
    assert looked == done.backend.loop_calls == []


def test_a_step_that_is_made_twice_counts_once(lagging):
    late, plain = (lagging(method, budget=Budget(steps=LATE + 200)) for method in ("late[lr=0.1]", "sgd[lr=0.1]"))
    assert late.steps == plain.steps == LATE + 200
    assert late.train_loss == plain.train_loss


@pytest.mark.parametrize("evaluations", [None, 1, 3])
def test_what_a_step_beyond_the_budget_reached_does_not_count(lagging, evaluations):
    budget = Budget(seconds=0.5 * WORK, evaluations=evaluations)
    done, start = lagging(budget=budget), lagging(budget=Budget(steps=1)).record.history[0]
    assert done.record.status == "ok", done.record.reason
    assert (done.steps, done.train_seconds) == (0, 0)
    assert [entry["step"] for entry in done.record.history] == [0]
    assert done.train_loss == start["train_loss"]
    assert done.phase_seconds["step"] == 0
    assert done.phase_seconds["other"] >= WORK


@pytest.mark.parametrize("loops", [False, True], ids=["a step a call", "many steps a call"])
def test_a_budget_of_seconds_is_kept(lagging, loops):
    done = lagging(budget=Budget(seconds=2.0), loops=loops)
    assert done.record.status == "ok", done.record.reason
    assert 2.0 - (WORK + LAUNCH) < done.train_seconds <= 2.0
    assert done.train_seconds == pytest.approx(done.steps * (WORK + LAUNCH))
    assert done.steps * WORK <= done.train_seconds
    assert done.steps > 80
    assert [entry["seconds"] / 2.0 for entry in done.record.history] == pytest.approx(np.arange(11) / 10, abs=0.1)
    assert done.backend.loop_calls == []


def test_an_upload_that_waits_for_the_device_does_not_count_its_work_as_data(lagging, monkeypatch):
    def upload(self, values, dtype=None):
        self.synchronize()
        return NumpyBackend.asarray(self, values, dtype)

    monkeypatch.setattr(LaggingBackend, "asarray", upload)
    done = lagging()
    assert done.record.status == "ok", done.record.reason
    assert done.train_seconds == pytest.approx(STEPS * (WORK + LAUNCH))


class TestPhases:
    """Each second in one phase. Batches and evaluations are queued here, too, and a report takes the host's time."""

    BATCH, EVALUATION, REPORT = 0.003, 0.7, 0.0005

    @pytest.fixture
    def spent(self, watch, monkeypatch):
        """Trains, and returns the outcome, the seconds that it took, and how often it reported."""

        def slowed(function, seconds):
            def queued(*arguments):
                watch.queue(seconds)
                return function(*arguments)

            return queued

        monkeypatch.setattr(Batches, "__call__", slowed(Batches.__call__, self.BATCH))
        monkeypatch.setattr(Evaluator, "__call__", slowed(Evaluator.__call__, self.EVALUATION))

        def run(method="sgd[lr=0.1]", budget=None, **options):
            backend, outcome, reports = LaggingBackend(watch=watch), Outcome(), []
            vars(backend).update(options)

            def report(step, total):
                watch.now += self.REPORT
                reports.append(step)

            one = cell(method, task=TASK, dtype="float64", budget=budget or Budget(steps=STEPS))
            begun = watch.now
            one.run(backend, outcome, report, Limits())
            return SimpleNamespace(seconds=watch.now - begun, reports=len(reports), outcome=outcome, **outcome.figures)

        return run

    @pytest.mark.parametrize("loops", [False, True], ids=["a step a call", "many steps a call"])
    def test_every_second_counts_for_the_phase_that_asked_for_it(self, spent, loops):
        done = spent(loops=loops)
        calls = STEPS // STEPS_PER_CALL if loops else STEPS
        # Of the seconds that are queued and compiled `warm_up` has what no other phase has.
        assert done.phase_seconds == pytest.approx(
            {
                "data": calls * (LAUNCH + self.BATCH),
                "compile": (1 + loops) * COMPILING,
                "warm_up": done.phase_seconds["warm_up"],
                "step": STEPS * WORK + calls * LAUNCH,
                "evaluation": len(done.outcome.history) * (LAUNCH + self.EVALUATION),
                "other": done.reports * self.REPORT,
            }
        )
        assert sum(done.phase_seconds.values()) == pytest.approx(done.seconds)
        assert done.phase_seconds["warm_up"] > COMPILING + 2 * (LAUNCH + WORK)
        assert done.train_seconds == done.phase_seconds["step"]

    @pytest.mark.parametrize("method", ["adam", "riemannian[output_metric=ggn_mc,lr=0.1]", "kfac[refresh=15]"])
    @pytest.mark.parametrize("budget", [Budget(epochs=2), Budget(seconds=1.0)], ids=str)
    def test_the_phases_add_up_to_the_time_of_training(self, spent, method, budget):
        done = spent(method, budget)
        assert tuple(done.phase_seconds) == get_args(Phase)
        assert sum(done.phase_seconds.values()) == pytest.approx(done.seconds)
        assert all(seconds > 0 for seconds in done.phase_seconds.values())

    def test_where_nothing_is_compiled_no_second_counts_for_it(self, spent):
        done = spent(eager=True)
        assert done.compile_seconds is None
        assert done.phase_seconds["compile"] == 0
        assert sum(done.phase_seconds.values()) == pytest.approx(done.seconds)

    def test_work_counts_for_the_phase_that_queued_it(self, watch):
        clock = Clock(LaggingBackend(watch=watch))
        watch.queue(5.0)
        with clock.phase("data"):
            watch.queue(1.0)
        with clock.phase("step"):
            watch.queue(2.0)
        watch.queue(4.0)
        found = {"data": 1.0, "step": 2.0, "other": 9.0 + LAUNCH}
        assert clock.read() == pytest.approx(
            {"compile": 0, "warm_up": 0, "evaluation": 0} | {name: value + LAUNCH for name, value in found.items()}
        )

    def test_a_phase_within_another_is_not_counted_twice(self, watch):
        clock = Clock(LaggingBackend(watch=watch))
        with clock.phase("warm_up"):
            watch.now += 1.0
            with clock.phase("data"):
                watch.now += 2.0
            watch.now += 4.0
        found = clock.read()
        assert (found["warm_up"], found["data"], found["other"]) == pytest.approx((5.0, 2.0, 0.0))

    def test_a_block_that_fails_has_taken_its_time(self, watch):
        clock = Clock(LaggingBackend(watch=watch))

        def fail():
            with clock.phase("step"):
                watch.now += 3.0
                raise DivergedError

        with pytest.raises(DivergedError):
            fail()
        watch.now += 1.0
        found = clock.read()
        assert (found["step"], found["other"]) == pytest.approx((3.0, 1.0))

    def test_seconds_that_move_are_neither_lost_nor_doubled(self, watch):
        clock = Clock(LaggingBackend(watch=watch))
        with clock.phase("warm_up"):
            watch.now += 3.0
        clock.move(1.0, "warm_up", "compile")
        assert (clock.seconds["warm_up"], clock.seconds["compile"]) == pytest.approx((2.0, 1.0))


def test_a_call_is_timed_from_an_empty_queue_to_its_end(watch):
    backend = LaggingBackend(watch=watch)
    watch.queue(5.0)
    assert timed(backend, lambda: watch.queue(WORK)) == (pytest.approx(LAUNCH + WORK), None)


def test_waiting_in_real_time():
    backend = LaggingBackend(watch=RealWatch())

    def call(work):
        backend.watch.queue(work)
        return np.zeros(1)

    assert timed(backend, lambda: call(0.02))[0] >= 0.02
    first, second = paired_seconds(backend, lambda: call(0.02), lambda: call(0.04), pairs=5)
    assert len(first) == len(second) == 5
    assert np.all(first >= 0.02)
    assert np.all(second >= 0.04)
    backend.waits = False
    assert timed(backend, lambda: call(5.0))[0] < 5.0
