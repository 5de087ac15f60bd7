"""`rbench tune`: which trials there are, what they may see, how they are judged, and what is left of them."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from rbench.cli import app
from rbench.errors import RbenchError, SpecError
from rbench.hookspecs import hookimpl
from rbench.methods import SGD, Choice, LogUniform
from rbench.plugins import plugins
from rbench.run import Budget, Cell, Entry, Record, Suite, read_records
from rbench.run.cell import configured
from rbench.run.gate import Gate
from rbench.run.provenance import environment
from rbench.run.record import write_record
from rbench.run.worker import run_cell
from rbench.tasks import Task
from rbench.tune import Plan, Search, TuneRequest, rerun, search
from rbench.tune.judge import best
from rbench.tune.points import points

optuna = pytest.importorskip("optuna")

SPIRALS, LANCZOS = "two-spirals[batch_size=20,n_train=60,n_test=20,hidden=[4]]", "lanczos[batch_size=8]"
FIGURES = ("test_accuracy", "test_squared_error", "test_loss")


class Untouchable:
    """An array that no one may look at."""

    def __getattribute__(self, name):
        raise AssertionError("the test set was touched")

    def __len__(self):
        raise AssertionError("the test set was touched")

    __array__ = __getitem__ = __len__


class Sealed(Task):
    name, summary, loss, epochs = "sealed", "training data, and a test set that raises", "cross_entropy", 1

    def network(self):
        return configured("tasks", SPIRALS)[0].network()

    def load(self, allow_unofficial):
        data = configured("tasks", SPIRALS)[0].load(allow_unofficial)
        return replace(data, x_test=Untouchable(), y_test=Untouchable())


class Bare(SGD):
    name, summary, search_space = "bare", "declares no search space", {}


class Wrong(SGD):
    name, summary, search_space = "wrong", "would search what it has not", {"rate": LogUniform(0.1, 1)}


class Flat(SGD):
    name, summary, search_space = "flat", "has two settings at all", {"nesterov": Choice(False, True)}


class Plugin:
    @hookimpl
    def rbench_methods(self):
        return [Bare, Wrong, Flat]

    @hookimpl
    def rbench_tasks(self):
        return [Sealed]

    @hookimpl
    def rbench_suites(self):
        own = ("sgd[lr=0.5,schedule=linear]", "adam[lr=0.3]", "riemannian[output_metric=[ggn,empirical_fisher]]")
        return [Suite("toy", "two small tasks", (Entry(SPIRALS, own, 2), Entry(LANCZOS, own[:2], 1)), seeds=2)]


class Silent:
    """A display that shows nothing."""

    def start(self, cells, kept):
        pass

    step = start

    def gate(self, gate):
        pass

    end = warn = gate


def by_rate(cell):
    """A record whose figures depend on the rate alone; 0.1 is the best."""
    far = abs(cell.make_method().lr - 0.1)
    figures = dict.fromkeys(FIGURES, far) | {"test_accuracy": 1 / (1 + far), "phase_seconds": {"step": 0.25}}
    return Record(cell=cell, status="ok", figures=figures)


@dataclass
class Bench:
    """In place of processes: what becomes of a cell is computed here.

    Attributes:
        outcome: the record of a cell.
        stop_after: how many records are passed on before the run is interrupted.
        written: whether the record after those is written nevertheless.
        ran: cells in order.
        options: of the executor that was made last.
    """

    outcome: object = by_rate
    stop_after: float = math.inf
    written: bool = True
    ran: list = field(default_factory=list)
    options: dict = field(default_factory=dict)

    def executor(self, directory, **options):
        self.options = options

        def run(cells):
            for cell, _ in cells:
                self.ran.append(cell)
                record = self.outcome(cell).model_copy(update={"environment": environment(cell)})
                last = len(self.ran) > self.stop_after
                if self.written or not last:
                    write_record(directory, record)
                if last:
                    raise KeyboardInterrupt
                yield record

        return SimpleNamespace(run=run)


def passed(backend, dtype, device, threads):
    return Gate(backend=backend, dtype=dtype, device=device, cases=1, worst=0.0)


@pytest.fixture
def bench(monkeypatch):
    stands = Bench()
    plugin = Plugin()
    plugins().manager.register(plugin)
    monkeypatch.setattr("rbench.run.session.LocalExecutor", stands.executor)
    monkeypatch.setattr("rbench.run.session.gate", passed)
    yield stands
    plugins().manager.unregister(plugin)


def request(**options):
    return TuneRequest(**{"suite": "toy", "trials": 4, "seed": 1000, "threads": 1, **options})


def without_seconds(tuned):
    return [one.model_copy(update={"seconds": 0.0}) for one in tuned.tuned]


def studies(folder):
    """What Optuna itself reads."""
    file = optuna.storages.journal.JournalFileBackend(str(folder / "trials" / "optuna.log"))
    return optuna.get_all_study_summaries(optuna.storages.JournalStorage(file))


def specs(cells):
    return [(cell.task, cell.method) for cell in cells]


class TestPoints:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("space", [
        {"lr": LogUniform(1e-3, 1)},
        {"lr": LogUniform(1e-4, 10), "mass": LogUniform(1e-3, 1e3)},
        {"lr": LogUniform(1e-3, 1), "mass": LogUniform(1, 2), "choice": Choice(*range(8))},
    ])  # fmt: skip
    def test_each_setting_is_spread_evenly(self, space, seed):
        """A scrambled Sobol sequence has one of its first 2^m points in each of 2^m slices, along every axis."""
        found = points(space, 8, seed)
        for name, dimension in space.items():
            values = np.array([point[name] for point in found])
            if isinstance(dimension, Choice):
                slices = values
            else:
                slices = 8 * np.log(values / dimension.low) / np.log(dimension.high / dimension.low)
            assert sorted(np.floor(slices)) == list(range(8))

    def test_a_choice_is_as_likely_as_the_others(self):
        found = Counter(point["choice"] for point in points({"choice": Choice("a", "b"), "x": LogUniform(1, 2)}, 16, 3))
        assert found == {0: 8, 1: 8}

    def test_a_seed_makes_the_same_points_and_more_begin_with_them(self):
        space = configured("methods", "riemannian")[0].search_space
        assert points(space, 5, 1) == points(space, 16, 1)[:5]
        assert points(space, 5, 1) != points(space, 5, 2)

    def test_methods_with_as_many_settings_are_tried_at_like_places(self):
        first, second = ({"lr": LogUniform(low, 1000 * low), "x": Choice(*range(4))} for low in (1e-3, 1e-4))
        for one, other in zip(points(first, 8, 0), points(second, 8, 0), strict=True):
            assert one["lr"] == pytest.approx(10 * other["lr"])
            assert one["x"] == other["x"]


class TestSpaces:
    @pytest.mark.parametrize("name", ["sgd", "adam", "riemannian", "naive", "kfac"])
    def test_every_method_has_its_rate_over_three_decades_and_two_more(self, name):
        (method,) = configured("methods", name)
        space = method.search_space
        assert len(space) == 3
        assert space["lr"].high / space["lr"].low == pytest.approx(1000)
        for key, dimension in space.items():
            ends = dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)
            for value in ends:
                assert getattr(method.changed(**{key: value}), key) == value

    @pytest.mark.parametrize("bounds", [(0, 1), (1, 1), (2, 1), (-1, 1), (1, math.inf), (math.nan, 1)])
    def test_bounds_that_are_none(self, bounds):
        with pytest.raises(SpecError, match="low < high"):
            LogUniform(*bounds)

    @pytest.mark.parametrize("values", [(), (1,)])
    def test_a_choice_needs_two_values(self, values):
        with pytest.raises(SpecError, match="two values or more"):
            Choice(*values)

    @pytest.mark.parametrize(
        ("drawn", "setting"), [(0.123456, 0.123), (0.0010004, 0.001), (9.9999, 10), (0.00099999, 0.001)]
    )
    def test_three_digits_of_a_number_are_kept(self, drawn, setting):
        assert LogUniform(0.001, 10).setting(drawn) == setting

    @pytest.mark.parametrize(
        ("method", "name", "searched"),
        [
            ("sgd", "sgd[schedule=linear]", {"lr", "momentum", "nesterov"}),
            ("sgd[momentum=0.5]", "sgd[momentum=0.5]", {"lr", "nesterov"}),
            (
                "riemannian[rank=2,mass=0.5]",
                "riemannian[output_metric=ggn_mc,mass=0.5,rank=2]",
                {"lr", "kl_clip"},
            ),
            ("kfac", "kfac", {"lr", "damping", "kl_clip"}),
            ("kfac[refresh=10]", "kfac[refresh=10]", {"lr", "damping", "kl_clip"}),
        ],
    )
    def test_what_brackets_set_is_held(self, bench, method, name, searched):
        (one,) = request(tasks=("two-spirals",), methods=(method,)).plan().searches
        assert one.cell.method == name
        assert set(one.space) == searched

    def test_what_differs_in_searched_settings_alone_is_searched_once(self, bench):
        asked = request(tasks=("digits",), methods=("sgd[weight_decay=[0,0.1]]", "sgd[weight_decay=0]"))
        assert [one.cell.method for one in asked.plan().searches] == ["sgd", "sgd[weight_decay=0.1]"]


class TestSearch:
    def test_every_method_gets_as_many_trials_on_every_task(self, bench, tmp_path):
        found = search(request(trials=5), tmp_path, Silent())
        names = [
            "sgd[schedule=linear]", "adam", "riemannian[output_metric=ggn]",
            "riemannian[output_metric=empirical_fisher]",
        ]  # fmt: skip
        asked = [(SPIRALS, name) for name in names] + [(LANCZOS, name) for name in names[:2]]
        assert [(one.task, one.method) for one in found.tuned] == asked
        assert {one.trials for one in found.tuned} == {5}
        assert len(bench.ran) == len(set(specs(bench.ran))) == 5 * len(asked)
        methods = [cell.make_method() for cell in bench.ran]
        tried = Counter(
            (cell.task, method.spec_without(*method.search_space))
            for cell, method in zip(bench.ran, methods, strict=True)
        )
        assert list(tried.values()) == [5] * len(asked)

    def test_trials_train_as_the_runs_do_but_on_the_validation_split(self, bench, tmp_path):
        search(request(seed=7, dtype="float64"), tmp_path, Silent())
        assert all(cell.make_task().validation for cell in bench.ran)
        assert {cell.seed for cell in bench.ran} == {7}
        assert {cell.dtype for cell in bench.ran} == {"float64"}
        assert {(cell.make_task().name, str(cell.budget)) for cell in bench.ran} == {
            ("two-spirals", "2 epochs"), ("lanczos", "1 epochs"),
        }  # fmt: skip

    def test_limits_hold_for_trials_and_runs_and_memory_is_measured_in_runs(self, bench, tmp_path):
        asked = request(timeout=9, memory_limit=2**30)
        found = search(asked, tmp_path, Silent())
        measured = [dict(bench.options)]
        rerun(asked, found, tmp_path, Silent())
        limits = [(one["timeout"], one["memory_limit"], one["memory_pass"]) for one in (*measured, bench.options)]
        assert limits == [(9, 2**30, False), (9, 2**30, True)]
        with pytest.raises(RbenchError, match="memory limit: 1073741824; this is another: 1024"):
            search(request(timeout=9, memory_limit=2**10), tmp_path, Silent())

    def test_the_test_set_is_not_touched_by_trials(self, bench, tmp_path):
        bench.outcome = run_cell
        asked = request(tasks=("sealed[batch_size=10]",), methods=("sgd",), trials=2, budget=Budget(steps=2))
        (found,) = search(asked, tmp_path, Silent()).tuned
        assert (found.failures, found.trials) == ({}, 2)
        assert 0 <= found.score <= 1
        for record in rerun(asked, search(asked, tmp_path, Silent()), tmp_path, Silent()).records:
            assert (record.status, record.reason) == ("crashed", "AssertionError: the test set was touched")

    def test_the_best_is_chosen_by_the_task_s_target(self, bench, tmp_path):
        found = search(request(trials=8), tmp_path, Silent())
        for one in found.tuned:
            mine = [cell for cell in bench.ran if cell.make_task().changed(validation=False).spec == one.task]
            rates = [cell.make_method() for cell in mine]
            rates = [method.lr for method in rates if method.spec_without(*method.search_space) == one.method]
            assert abs(configured("methods", one.settings)[0].lr - 0.1) == min(abs(rate - 0.1) for rate in rates)
            assert one.figure == ("accuracy" if one.task == SPIRALS else "squared_error")

    def test_a_seed_makes_the_same_trials(self, bench, tmp_path):
        ran = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            bench.ran.clear()
            search(request(seed=seed), tmp_path / name, Silent())
            ran.append(specs(bench.ran))
        assert ran[0] == ran[1] != ran[2]

    @pytest.mark.parametrize("status", ["diverged", "out_of_memory", "timeout", "crashed", "skipped"])
    def test_failures_count_and_are_not_repeated(self, bench, tmp_path, status):
        def fails_above(cell):
            bad = cell.make_method().lr > 0.03
            return Record(cell=cell, status=status, reason="why") if bad else by_rate(cell)

        bench.outcome = fails_above
        asked = request(tasks=("two-spirals",), methods=("sgd",), trials=8)
        (found,) = search(asked, tmp_path, Silent()).tuned
        bad = sum(cell.make_method().lr > 0.03 for cell in bench.ran)
        assert 0 < bad < 8
        assert (found.trials, found.failures, len(bench.ran)) == (8, {status: bad}, 8)
        rates = [cell.make_method().lr for cell in bench.ran if cell.make_method().lr <= 0.03]
        assert configured("methods", found.settings)[0].lr == max(rates)
        records, _ = read_records(tmp_path / "trials")
        assert Counter(record.status for record in records) == {status: bad, "ok": 8 - bad}
        assert search(asked, tmp_path, Silent()).tuned == (found,)
        assert len(bench.ran) == 8

    def test_where_all_fail_nothing_is_found_and_the_first_is_run(self, bench, tmp_path):
        bench.outcome = lambda cell: Record(cell=cell, status="diverged", reason="too fast")
        asked = request(tasks=("two-spirals",), methods=("adam",))
        found = search(asked, tmp_path, Silent())
        assert (found.tuned[0].score, found.tuned[0].failures) == (None, {"diverged": 4})
        assert found.tuned[0].settings == bench.ran[0].method
        done = rerun(asked, found, tmp_path, Silent())
        assert [record.status for record in done.records] == ["diverged", "diverged"]
        assert not done.ok

    def test_points_that_are_one_cell_are_run_once(self, bench, tmp_path):
        (found,) = search(request(tasks=("two-spirals",), methods=("flat",)), tmp_path, Silent()).tuned
        assert found.trials == 4
        assert len(bench.ran) == 2


class TestResuming:
    @pytest.mark.parametrize("written", [True, False])
    @pytest.mark.parametrize("stop_after", [0, 1, 7])
    def test_nothing_is_lost_and_nothing_repeated(self, bench, tmp_path, stop_after, written):
        whole = search(request(), tmp_path / "whole", Silent())
        everything = specs(bench.ran)
        bench.ran.clear()
        bench.stop_after, bench.written = stop_after, written
        with pytest.raises(KeyboardInterrupt):
            search(request(), tmp_path, Silent())
        assert not (tmp_path / "tuned.json").exists()
        assert specs(bench.ran) == everything[: stop_after + 1]
        if not written:
            bench.ran.pop()
        bench.stop_after = math.inf
        found = search(request(), tmp_path, Silent())
        assert specs(bench.ran) == everything
        assert without_seconds(found) == without_seconds(whole)
        summaries = {study.study_name: study.n_trials for study in studies(tmp_path)}
        assert summaries == {f"{one.method} on {one.task}": 4 for one in found.tuned}

    def test_more_trials_continue_the_same_points(self, bench, tmp_path):
        first = search(request(trials=2), tmp_path, Silent())
        few = specs(bench.ran)
        more = search(request(trials=6), tmp_path, Silent())
        assert len(bench.ran) == 3 * len(few)
        assert specs(bench.ran)[: len(few)] == few
        assert len(set(specs(bench.ran))) == len(bench.ran)
        assert {one.trials for one in more.tuned} == {6}
        assert all(now.score <= then.score for now, then in zip(more.tuned, first.tuned, strict=True))
        bench.ran.clear()
        search(request(trials=6), tmp_path / "at once", Silent())
        assert without_seconds(search(request(trials=6), tmp_path / "at once", Silent())) == without_seconds(more)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"trials": 3}, "4 trials, more than 3"),
            ({"seed": 3}, "seed: 1000; this is another: 3"),
            ({"dtype": "float64"}, "dtype of .*: float32; this is another: float64"),
            ({"device": "cpu"}, "device of .*: None; this is another: cpu"),
            ({"budget": Budget(steps=3)}, "budget of sgd.* on two-spirals.*: 2 epochs; this is another: 3 steps"),
            ({"batch_size": 5}, "searches: .*batch_size=20.*; this is another: .*batch_size=5"),
            ({"threads": 2}, "threads of .*: 1; this is another: 2"),
            ({"timeout": 9.0}, "timeout: None; this is another: 9.0"),
            ({"methods": ("sgd",)}, "searches: adam on .*; this is another: "),
            ({"tasks": (SPIRALS,)}, "searches: .*lanczos.*; this is another: "),
            ({"unofficial_data": True}, "unofficial_data of .*: False; this is another: True"),
        ],
    )
    def test_another_request_is_refused(self, bench, tmp_path, change, words):
        search(request(), tmp_path, Silent())
        before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
        bench.ran.clear()
        with pytest.raises(RbenchError, match=f"holds a tune .*{words}.*name another directory with -o"):
            search(request(**change), tmp_path, Silent())
        assert bench.ran == []
        assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before

    def test_another_space_is_refused(self, bench, tmp_path, monkeypatch):
        search(request(), tmp_path, Silent())
        monkeypatch.setattr(SGD, "search_space", {"lr": LogUniform(1, 2)})
        with pytest.raises(RbenchError, match=r"search space of .*: lr log 0\.001.*this is another: lr log 1\.\.2;"):
            search(request(), tmp_path, Silent())

    def test_a_request_that_could_not_start_is_forgotten(self, bench, tmp_path):
        with pytest.raises(RbenchError, match="validation leaves"):
            search(request(tasks=("two-spirals[n_train=20,batch_size=20]",)), tmp_path, Silent())
        search(request(), tmp_path, Silent())
        assert len(bench.ran) == 24

    def test_another_number_of_jobs_or_seeds_is_the_same_tune(self, bench, tmp_path):
        search(request(), tmp_path, Silent())
        bench.ran.clear()
        search(request(jobs=2, seeds=5), tmp_path, Silent())
        assert bench.ran == []

    def test_points_of_another_library_are_refused(self, bench, tmp_path, monkeypatch):
        search(request(trials=2), tmp_path, Silent())
        monkeypatch.setattr("rbench.tune.plan.points", lambda space, count, seed: points(space, count, seed + 1))
        with pytest.raises(RbenchError, match=r"other Sobol points.*versions in tune\.json"):
            search(request(trials=2), tmp_path, Silent())

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("run.json", "{}", "holds a run that is no tune"),
            ("tune.json", "{", "is damaged"),
            ("tune.json", "{}", "is damaged"),
        ],
    )
    def test_a_directory_of_something_else_is_refused(self, bench, tmp_path, name, content, words):
        (tmp_path / "trials" / "cells").mkdir(parents=True)
        (tmp_path / "trials" / "cells" / "some.json").touch()
        (tmp_path / name).write_text(content)
        with pytest.raises(RbenchError, match=f"{words}.*-o"):
            search(request(), tmp_path, Silent())
        assert bench.ran == []

    def test_a_directory_that_cannot_be_made_is_named(self, bench, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(RbenchError, match=r"cannot write into .*file"):
            search(request(), tmp_path / "file", Silent())


class TestJudging:
    SEARCH = Search(Cell(suite="s", task=SPIRALS, method="sgd", backend="numpy", budget=Budget(steps=1)), {})

    def best_of(self, *ends):
        """The index of the best of records with a status, an accuracy and a loss."""
        figures = ({"test_accuracy": accuracy, "test_loss": loss} for _, accuracy, loss in ends)
        records = [
            Record(cell=self.SEARCH.cell.model_copy(update={"method": str(index)}), status=end[0], figures=own)
            for index, (end, own) in enumerate(zip(ends, figures, strict=True))
        ]
        found = best(self.SEARCH, Plan(len(ends), 0, None, (self.SEARCH,)), records, 1.5)
        return int(found.settings), found.score, found.failures

    def test_the_smallest_error_wins(self):
        assert self.best_of(("ok", 0.5, 1.0), ("ok", 0.75, 2.0), ("ok", 0.25, 0.1)) == (1, 0.25, {})

    def test_of_equal_errors_the_smaller_loss_wins_and_then_the_earlier(self):
        assert self.best_of(("ok", 0.5, 1.0), ("ok", 0.5, 0.5), ("ok", 0.5, 0.5))[0] == 1

    def test_a_failure_never_wins_whatever_it_reached(self):
        ends = ("diverged", 1.0, 0.0), ("ok", 0.5, 9.0), ("crashed", None, None), ("diverged", None, None)
        assert self.best_of(*ends) == (1, 0.5, {"diverged": 2, "crashed": 1})

    @pytest.mark.parametrize("value", [None, math.nan, math.inf])
    def test_a_figure_that_is_not_finite_is_a_failure(self, value):
        assert self.best_of(("ok", value, 1.0), ("ok", 0.5, None)) == (1, 0.5, {"not finite": 1})


class TestRuns:
    def test_the_best_are_run_on_other_seeds_and_on_the_test_set(self, bench, tmp_path):
        for number, seed, seeds in ((None, 1000, [0, 1]), (3, 1, [0, 2, 3])):
            folder, asked = tmp_path / str(seed), request(seed=seed, seeds=number)
            found = search(asked, folder, Silent())
            bench.ran.clear()
            done = rerun(asked, found, folder, Silent())
            assert done.ok
            wanted = [(one.task, one.settings, seed) for one in found.tuned for seed in seeds]
            assert [(cell.task, cell.method, cell.seed) for cell in bench.ran] == wanted
            assert not any(cell.make_task().validation for cell in bench.ran)

    def test_records_say_how_they_were_tuned(self, bench, tmp_path):
        found = search(request(), tmp_path, Silent())
        rerun(request(), found, tmp_path, Silent())
        bench.ran.clear()
        rerun(request(), found, tmp_path, Silent())
        assert bench.ran == []
        records, _ = read_records(tmp_path)
        assert len(records) == 2 * len(found.tuned)
        for record in records:
            assert record.tuning in found.tuned
            assert (record.tuning.task, record.tuning.settings) == (record.cell.task, record.cell.method)


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (
                {"methods": ("bare",)},
                "'bare' has no search space; declare one in class Bare, .*search_space = .*LogU",
            ),
            ({"methods": ("wrong",)}, "search space of 'wrong' holds 'rate', which is no setting.*lr"),
            ({"methods": ("flat[nesterov=true]",)}, "nothing of flat is left to search: nesterov"),
            ({"tasks": ("digits[validation=true]",), "methods": ("sgd",)}, "leave validation out"),
            ({"suite": "step-time"}, "measures costs"),
            ({"suite": "nope"}, "no suite is called 'nope'"),
            ({"methods": ("nope",)}, "no method is called 'nope'"),
            ({"backend": "nope"}, "no backend is called 'nope'"),
            ({"tasks": ("two-spirals[n_train=20,batch_size=20]",)}, "batch_size=20 is more than the 17 .*validation"),
        ],
    )
    def test_a_wrong_request_says_what_is_wrong(self, bench, tmp_path, options, words):
        with pytest.raises(RbenchError, match=words):
            search(request(**options), tmp_path, Silent())
        assert bench.ran == []

    def test_without_optuna_the_message_says_how_to_install_it(self, bench, tmp_path, monkeypatch):
        monkeypatch.setattr("rbench.tune.points.importlib.util.find_spec", lambda name: None)
        with pytest.raises(RbenchError, match=r"needs Optuna; pip install 'rbench\[tune\]'"):
            search(request(), tmp_path, Silent())
        assert list(tmp_path.iterdir()) == []


class TestCommand:
    def call(self, *words):
        return CliRunner().invoke(app, ["tune", *map(str, words)])

    def test_it_ends_with_the_table_and_how_it_was_tuned(self, bench, tmp_path):
        done = self.call("toy", "-t", "two-spirals", "-m", "sgd", "--trials", 4, "-o", tmp_path, "--threads", 1)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("| task ")
        (note,) = [line for line in done.stdout.splitlines() if line.startswith("Tuned by rbench tune")]
        assert f"on {SPIRALS}, trials a method: 4, the best accuracy on a validation split after 2 epochs" in note
        assert "seed 1000: sgd[schedule=linear] (lr log 0.001..3, momentum 0 | 0.9 | 0.95, nesterov" in note
        assert re.search(r"none failed, \d\S* s, \d\d\.\d\d %\.$", note)
        assert "Not tuned" not in done.stdout
        table = CliRunner().invoke(app, ["table", str(tmp_path)])
        assert note in table.stdout

    def test_stopping_it_says_how_to_go_on(self, bench, tmp_path):
        bench.stop_after = 2
        done = self.call("toy", "-o", tmp_path)
        assert done.exit_code == 130
        assert f"the same command with -o {tmp_path} goes on" in done.stderr

    def test_a_dry_run_lists_the_searches(self, bench, tmp_path):
        done = self.call("toy", "-m", "sgd", "-o", tmp_path / "none", "-n")
        assert done.stdout.splitlines()[0].startswith(f"sgd[schedule=linear] on {SPIRALS}: lr log 0.001..3, momentum")
        assert done.stdout.splitlines()[-1] == "trials: 2 × 8"
        assert not (tmp_path / "none").exists()

    def test_a_run_that_failed_is_status_1_and_a_wrong_request_2(self, bench, tmp_path):
        bench.outcome = lambda cell: Record(cell=cell, status="crashed", reason="boom")
        assert self.call("toy", "-t", "two-spirals", "-m", "sgd", "-o", tmp_path).exit_code == 1
        done = self.call("toy", "-m", "bare")
        assert done.exit_code == 2
        assert "Traceback" not in done.output


def test_a_tune_that_is_killed_goes_on_in_fresh_processes(tmp_path):
    """From end to end, with processes: killed in the middle, the same command again finishes it."""
    folder = tmp_path / "tune"
    command = [sys.executable, "-m", "rbench.cli", "tune", "quick", "-t", SPIRALS, "-m", "sgd", "--trials", "2"]
    command += ["--steps", "3", "--threads", "1", "-o", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(folder.glob("trials/cells/*.json")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    (first, *_) = before = {path: path.stat().st_mtime_ns for path in folder.glob("trials/cells/*.json")}

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert first.stat().st_mtime_ns == before[first]
    trials, damaged = read_records(folder / "trials")
    assert ([record.status for record in trials], damaged) == (["ok", "ok"], [])
    (run,), _ = read_records(folder)
    assert (run.status, run.cell.seed, run.tuning.trials, run.tuning.failures) == ("ok", 0, 2, {})
    assert run.cell.make_task().spec == SPIRALS
    assert [study.n_trials for study in studies(folder)] == [2]
    assert "Tuned by rbench tune" in done.stdout
