"""Seeds per purpose: what `--fix` holds at seed 0 and what it leaves, in training, requests, tables and comparisons."""

import itertools
import json

import numpy as np
import pytest

from helpers import faults
from helpers.command import call
from helpers.faults import SPIRALS
from helpers.registered import registered
from rbench import Flatten, Linear, get_backend
from rbench.errors import SpecError
from rbench.report import comparison, footnotes, history, rows
from rbench.report.changes import change_notes
from rbench.report.compare import compare
from rbench.report.problems import place_columns, problems
from rbench.run import Budget, Entry, Record, Request, Training, TrainingSuite
from rbench.run.record import read_records, write_record
from rbench.run.worker import run_cell
from rbench.tasks import Dataset, Task
from rbench.train.cell import SOURCES
from rbench.train.loop import set_up

DRAWS = "riemannian[output_metric=ggn_mc,lr=0.1]"
SUBSETS = [subset for size in range(4) for subset in itertools.combinations(SOURCES, size)]


class Photos(Task):
    """Images that are mirrored and shifted, each with its index as its target."""

    name, summary, loss, epochs = "photos", "augmented images", "squared_error", 1
    batch_size: int = 4

    def network(self):
        return Flatten() >> Linear(36, 1)

    def load(self, allow_unofficial):
        x, y = np.random.default_rng(0).normal(size=(12, 1, 6, 6)), np.arange(12.0)[:, None]
        return Dataset(x, y, x, y, sha256="", augment=True)


@pytest.fixture
def plugin():
    suite = TrainingSuite("pair", "one task at two seeds", (Entry(SPIRALS, ("sgd",)),), seeds=2)
    with registered(tasks=[Photos], suites=[suite]):
        yield


def cell(seed, fixed=(), method=DRAWS, task=SPIRALS):
    return faults.cell(method, task=task, steps=5, seed=seed, fixed=fixed, dtype="float64")


def ingredients(of):
    """What is random of a cell's training: initial weights, the batches of two epochs, and the draws of the metric."""
    stepper, _, params = set_up(of, get_backend("numpy", dtype="float64"))
    batches = [stepper.batches(step) for step in range(2 * stepper.batches.steps_per_epoch)]
    return {
        "weights": [layer["weight"] for layer in params],
        "order": [batch.y for batch in batches] + [batch.x for batch in batches],
        "samples": [stepper.batches.noise(step, 2) for step in range(3)] + [stepper.batches.noise((3, 4), 1)],
    }


def same(first, other):
    return [np.array_equal(a, b) for a, b in zip(first, other, strict=True)]


@pytest.mark.parametrize("fixed", SUBSETS, ids=lambda subset: "+".join(subset) or "none")
def test_what_is_fixed_is_as_at_seed_0_and_all_else_as_at_the_seed(plugin, fixed):
    zero, five, held = (
        ingredients(one) for one in (cell(0, task="photos"), cell(5, task="photos"), cell(5, fixed, task="photos"))
    )
    for source in SOURCES:
        assert not any(same(zero[source], five[source]))
        assert all(same(held[source], (zero if source in fixed else five)[source]))


def course(of):
    """The evaluations of a training run, without times."""
    record = run_cell(of)
    assert record.status == "ok", record.reason
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in record.history]


@pytest.mark.parametrize(
    ("method", "fixed", "begin_alike", "go_on_alike"),
    [
        ("sgd", (), False, False),
        ("sgd", ("weights",), True, False),
        ("sgd", ("order",), False, False),
        ("sgd", ("weights", "samples"), True, False),
        ("sgd", ("weights", "order"), True, True),
        (DRAWS, ("samples",), False, False),
        (DRAWS, ("weights", "order"), True, False),
        (DRAWS, ("weights", "samples"), True, False),
        (DRAWS, SOURCES, True, True),
    ],
)
def test_training_at_two_seeds_differs_by_what_is_not_fixed(method, fixed, begin_alike, go_on_alike):
    one, two = (course(cell(seed, fixed, method)) for seed in (1, 2))
    assert (one[0] == two[0]) == begin_alike
    assert (one[1:] == two[1:]) == go_on_alike
    assert course(cell(0, fixed, method)) == course(cell(0, (), method))
    if begin_alike and go_on_alike:
        assert one == course(cell(0, (), method))


def test_a_cell_has_its_sources_in_one_order_and_a_key_of_its_own():
    ways = [cell(3, fixed) for fixed in (("weights", "order"), ("order", "weights"), ("order", "weights", "order"))]
    assert {one.fixed for one in ways} == {("order", "weights")}
    assert len({one.key for one in ways}) == 1
    assert len({cell(3, fixed).key for fixed in SUBSETS}) == len(SUBSETS)
    assert Training.model_validate_json(ways[0].model_dump_json()) == ways[0]


def test_records_keep_what_was_fixed(tmp_path):
    made = [Record(cell=cell(1, fixed), status="ok") for fixed in SUBSETS]
    for record in made:
        write_record(tmp_path, record)
    found, damaged = read_records(tmp_path)
    assert damaged == []
    assert {record.cell for record in found} == {record.cell for record in made}
    assert {record.row()["fixed"] for record in made} >= {None, "weights", "order, weights"}


class TestRequests:
    def test_every_cell_has_what_is_fixed(self):
        asked = Request(tasks=(SPIRALS,), methods=(DRAWS,), seeds=3, fixed=("weights", "order"))
        assert [(one.seed, one.fixed) for one in asked.cells()] == [(seed, ("order", "weights")) for seed in range(3)]

    @pytest.mark.parametrize(("suite", "given"), [("quick", 3), ("pair", None)])
    @pytest.mark.parametrize(
        ("method", "fixed", "words"),
        [
            ("sgd", SOURCES, "weights, order are fixed, and nothing else is random with 'sgd.*'"),
            ("sgd", ("weights", "order"), "weights, order are fixed"),
            ("riemannian[output_metric=ggn]", ("weights", "order"), "weights, order are fixed"),
            (DRAWS, SOURCES, "weights, order, samples are fixed, and nothing else is random with 'riemannian"),
        ],
    )
    def test_seeds_of_which_nothing_is_left_are_refused(self, plugin, suite, given, method, fixed, words):
        asked = {"suites": (suite,), "tasks": (SPIRALS,), "methods": (method,), "fixed": fixed}
        with pytest.raises(SpecError, match=f"{words}.*suite '{suite}' .*`fixed` out, .* or give `seeds` 1"):
            Request(seeds=given, **asked).cells()
        assert len(Request(seeds=1, **asked).cells()) == 1

    @pytest.mark.parametrize(("method", "fixed"), [("sgd", ("weights", "samples")), (DRAWS, ("weights", "order"))])
    def test_seeds_of_which_something_is_left_are_taken(self, method, fixed):
        assert len(Request(tasks=(SPIRALS,), methods=(method,), seeds=2, fixed=fixed).cells()) == 2

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                "--fix weight",
                "--fix 'weight': no random source is called that (did you mean 'weights'?); choose among weights",
            ),
            ("--fix weights --fix order --fix samples --seeds 2", "weights, order are fixed"),
        ],
    )
    def test_the_command_refuses_in_one_message(self, tmp_path, monkeypatch, words, message):
        monkeypatch.chdir(tmp_path)
        done = call("run", "-t", SPIRALS, "-m", "sgd", *words.split())
        assert (done.exit_code, done.stdout) == (2, "")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert list(tmp_path.iterdir()) == []

    def test_a_suite_that_measures_costs_has_nothing_to_fix(self):
        done = call("run", "step-time", "--fix", "order")
        assert done.exit_code == 2
        assert "has no use for --fix" in done.stderr


def record(seed, fixed=(), loss=1.0, method="sgd", task="digits", **figures):
    cell = Training(
        suite="s", task=task, method=method, backend="numpy", seed=seed, fixed=fixed, budget=Budget(steps=5)
    )
    return Record(cell=cell, status="ok", figures={"device": "cpu", "test_loss": loss} | figures, history=[{"step": 0}])


class TestTables:
    def test_cells_with_other_sources_fixed_are_other_rows(self):
        free = [record(seed, loss=loss) for seed, loss in enumerate([1.0, 3.0, 5.0])]
        held = [record(seed, ("weights", "order"), loss) for seed, loss in enumerate([2.0, 2.1, 2.2])]
        shown = comparison([*free, *held])
        assert dict(zip(shown["fixed"], shown["test loss"], strict=True)) == {
            "": "3.00 (1.00–5.00)",
            "order, weights": "2.10 (2.00–2.20)",
        }
        assert any(note.startswith("fixed: ") for note in footnotes([*free, *held]))
        assert sorted(set(history([*free, *held])["fixed"].dropna())) == ["order, weights"]
        assert list(rows(held)["fixed"]) == ["order, weights"] * 3

    def test_the_column_shows_where_something_is_fixed(self):
        assert list(comparison([record(0, ("samples",))])["fixed"]) == ["samples"]
        assert "fixed" not in comparison([record(0), record(1)])
        assert not any(note.startswith("fixed: ") for note in footnotes([record(0)]))

    def test_methods_are_marked_among_those_of_the_same_sources(self):
        made = [
            record(seed, fixed, loss, method)
            for fixed, method, losses in [
                ((), "a", [1.0, 1.1, 1.3]), ((), "b", [2.0, 2.1, 2.5]), (("order",), "a", [0.1, 0.11, 0.13]),
                (("order",), "b", [0.2, 0.21, 0.25]),
            ]
            for seed, loss in enumerate(losses)
        ]  # fmt: skip
        shown = comparison(made)
        assert sorted(shown["fixed"][shown["test loss"].str.startswith("*")]) == ["", "order"]

    def test_ranks_are_of_one_choice_of_sources(self):
        made = [record(0, fixed, 1.0, method, task) for fixed in ((), ("order",)) for method in "ab" for task in "xyz"]
        found = problems(made, "test figure")
        assert [one.place["fixed"] for one in found] == [None, "order"]
        assert [len(one.scores) for one in found] == [3, 3]
        assert place_columns(found) == [{"fixed": "none"}, {"fixed": "order"}]

    def test_compare_pairs_no_cells_with_other_sources(self):
        free, held = [record(0), record(1)], [record(0, ("order",)), record(1, ("order",))]
        with pytest.raises(SpecError, match=r"no cell in common: none agrees in all of .*fixed"):
            compare(free, held, ["test_loss"], 1.1)
        (found,) = compare([*free, *held], held, ["test_loss"], 1.1)[1:]
        assert (found.row["fixed"], found.pairs) == ("order", 2)

    def test_what_is_lost_says_what_was_fixed(self):
        held = [record(0, ("order", "weights")), record(0)]
        changes = compare(held, held[1:], ["test_loss"], 1.1)
        assert any("numpy cpu float32 threads 1 fixed order, weights 5 steps: " in note
                   for note in change_notes(changes, 1.1))  # fmt: skip


def test_a_run_with_fixed_sources_from_the_command_to_the_table(tmp_path):
    words = ["run", "-t", SPIRALS, "-m", "sgd[lr=0.2]", "--steps", "3", "--seeds", "2", "--threads", "1"]
    done = call(*words, "--fix", "weights", "-o", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    assert [(row["seed"], row["fixed"]) for row in json.loads(done.stdout)] == [(0, "weights"), (1, "weights")]
    one, two = (record.history for record in read_records(tmp_path)[0])
    assert one[0] == two[0]
    assert one[1]["train_loss"] != two[1]["train_loss"]
    table = call("table", tmp_path)
    assert table.stdout.splitlines()[0] == "**two-spirals, fixed weights**"
    again = call(*words, "--fix", "weights", "-o", tmp_path)
    assert "cells from an earlier run: 2; to run: 0" in again.stderr
