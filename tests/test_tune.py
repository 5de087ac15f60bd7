"""`rbench tune`: which trials there are, what they may see, how they are judged, and what is left of them."""

import math
import re
from collections import Counter

import pytest

from helpers import command
from helpers.tuning import LANCZOS, SPIRALS, Silent, by_rate, request, specs
from rbench.errors import RbenchError
from rbench.run import Budget, Record, Training, read_records
from rbench.run.worker import run_cell
from rbench.train.cell import configured
from rbench.tune import Plan, Search, rerun, search
from rbench.tune.selection import chosen


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
            (cell.task, method.spec_without(*method.searched)) for cell, method in zip(bench.ran, methods, strict=True)
        )
        assert list(tried.values()) == [5] * len(asked)

    def test_trials_train_as_the_runs_do_but_on_the_validation_split(self, bench, tmp_path):
        search(request(seed=7, dtype="float64"), tmp_path, Silent())
        assert all(cell.make_task().validation for cell in bench.ran)
        assert {cell.seed for cell in bench.ran} == {7}
        assert {cell.dtype for cell in bench.ran} == {"float64"}
        assert {(cell.make_task().name, str(cell.budget)) for cell in bench.ran} == {
            ("two-spirals", "2 epochs, 1 evaluations"), ("lanczos", "1 epochs, 1 evaluations"),
        }  # fmt: skip

    def test_limits_hold_for_trials_and_runs_and_memory_is_measured_in_runs(self, bench, tmp_path):
        asked = request(timeout=9, memory_limit=2**30)
        found = search(asked, tmp_path, Silent())
        measured = [dict(bench.options)]
        rerun(asked, found, tmp_path, Silent())
        limits = [(one["timeout"], one["memory_limit"], one["peaks"] is not None) for one in (*measured, bench.options)]
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
            rates = [method.lr for method in rates if method.spec_without(*method.searched) == one.method]
            assert abs(configured("methods", one.settings)[0].lr - 0.1) == min(abs(rate - 0.1) for rate in rates)
            assert one.figure == ("accuracy" if one.task == SPIRALS else "squared_error")

    def test_a_trial_is_evaluated_once(self, bench, tmp_path):
        bench.outcome = run_cell
        asked = request(tasks=("two-spirals",), methods=("sgd",), trials=2)
        search(asked, tmp_path, Silent())
        trials, _ = read_records(tmp_path / "trials")
        assert [[point["step"] for point in record.history] for record in trials] == [
            [record.figures["steps"]] for record in trials
        ]
        assert {str(record.cell.budget) for record in trials} == {"2 epochs, 1 evaluations"}
        assert {str(cell.budget) for cell in bench.ran} == {"2 epochs, 1 evaluations"}
        bench.ran.clear()
        rerun(asked, search(asked, tmp_path, Silent()), tmp_path, Silent())
        assert {str(cell.budget) for cell in bench.ran} == {"2 epochs"}

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


class TestJudging:
    SEARCH = Search(Training(suite="s", task=SPIRALS, method="sgd", backend="numpy", budget=Budget(steps=1)), {})

    def best_of(self, *ends):
        """The index of the best of records with a status, an accuracy and a loss."""
        figures = ({"test_accuracy": accuracy, "test_loss": loss} for _, accuracy, loss in ends)
        records = [
            Record(cell=self.SEARCH.cell.model_copy(update={"method": str(index)}), status=end[0], figures=own)
            for index, (end, own) in enumerate(zip(ends, figures, strict=True))
        ]
        found = chosen(self.SEARCH, Plan(len(ends), 0, None, (self.SEARCH,)), records, [], 1.5)
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
            ({"suite": "step-time"}, "has no settings to tune: name one that"),
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
        monkeypatch.setattr("rbench.tune.journal.importlib.util.find_spec", lambda name: None)
        with pytest.raises(RbenchError, match=r"needs Optuna; pip install 'rbench\[tune\]'"):
            search(request(), tmp_path, Silent())
        assert list(tmp_path.iterdir()) == []


class TestCommand:
    def call(self, *words):
        return command.call("tune", *words)

    def test_it_ends_with_the_table_and_how_it_was_tuned(self, bench, tmp_path):
        done = self.call("toy", "-t", "two-spirals", "-m", "sgd", "--trials", 4, "-o", tmp_path, "--threads", 1)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("**two-spirals**")
        (note,) = [line for line in done.stdout.splitlines() if line.startswith("- Tuned by rbench tune")]
        assert f"on {SPIRALS}, 4 trials per method, the best accuracy on a validation split after 2 epochs" in note
        assert (
            "seed 1000, the best 3 run again on seeds 1001, 1002 and chosen among by the mean: sgd[schedule=lin" in note
        )
        assert ": sgd[schedule=linear] (lr log 0.001..3, momentum 0 | 0.9 | 0.95, nesterov" in note.replace("\\|", "|")
        assert re.search(r"none failed, \d\S* s, \d\d\.\d\d %\.$", note)
        assert "No tuning" not in done.stdout
        table = command.call("table", tmp_path)
        assert note in table.stdout

    def test_stopping_it_says_how_to_go_on(self, bench, tmp_path):
        bench.stop_after = 2
        done = self.call("toy", "-o", tmp_path)
        assert done.exit_code == 130
        assert f"the same command with -o {tmp_path} goes on" in done.stderr

    def test_a_dry_run_lists_the_searches(self, bench, tmp_path):
        done = self.call("toy", "-m", "sgd", "-o", tmp_path / "none", "-n")
        assert done.stdout.splitlines()[0].startswith(f"sgd[schedule=linear] on {SPIRALS}: lr log 0.001..3, momentum")
        assert done.stdout.splitlines()[-1] == "trials: 2 × 8, and 3 of each on 2 further seeds"
        assert not (tmp_path / "none").exists()

    def test_a_run_that_failed_is_status_1_and_a_wrong_request_2(self, bench, tmp_path):
        bench.outcome = lambda cell: Record(cell=cell, status="crashed", reason="boom")
        assert self.call("toy", "-t", "two-spirals", "-m", "sgd", "-o", tmp_path).exit_code == 1
        done = self.call("toy", "-m", "bare")
        assert done.exit_code == 2
        assert "Traceback" not in done.output
