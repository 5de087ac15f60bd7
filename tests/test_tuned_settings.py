"""Files of tuned settings: what a suite and a run take from them, what records and tables say of it."""

import json
from types import SimpleNamespace

import pytest

import rbench_suites.settings
from helpers.command import call
from helpers.registered import registered
from rbench.errors import DataError
from rbench.plugins import plugins
from rbench.report import footnotes
from rbench.run import (
    Budget,
    Entry,
    Record,
    Request,
    Training,
    TrainingSuite,
    Tuned,
    TunedFile,
    read_records,
    read_tuned,
)
from rbench.run.gate import Gate
from rbench.run.provenance import environment
from rbench.run.record import write_json, write_record

TASK = "digits[hidden=[4]]"
RATE = {"lr": "log 0.001..1"}
MASS = {**RATE, "mass": "log 0.001..10"}


def tuned(method, settings, space, **options):
    own = {
        "task": TASK, "figure": "accuracy", "score": 0.125, "trials": 4, "failures": {}, "seconds": 12.0, "seed": 1000,
        "budget": Budget(epochs=3), "backend": "numpy", "device": None, "dtype": "float32", "threads": 1,
    }  # fmt: skip
    return Tuned(method=method, settings=settings, space=space, **own | options)


SGD = tuned("sgd[schedule=linear]", "sgd[lr=0.25,schedule=linear]", RATE)
GGN = tuned("riemannian[output_metric=ggn]", "riemannian[output_metric=ggn,lr=0.5,mass=2]", MASS)
KFAC = tuned("kfac[refresh=10]", "kfac[lr=0.01,damping=3,refresh=10]", RATE)
ADAM = tuned("adam", "adam[lr=0.003]", RATE, score=None, failures={"diverged": 3, "timeout": 1})
ELSEWHERE = tuned("adam", "adam[lr=0.004]", RATE, task="two-spirals")
FILE = TunedFile(suite="hand", tuned=(SGD, GGN, KFAC, ADAM, ELSEWHERE), provenance={"python": "3"})

HAND = ("sgd[lr=1,schedule=linear]", "sgd[lr=1]", "adam[lr=0.1]", "riemannian[output_metric=[ggn,ggn_mc],lr=0.1]")
FOUND = [
    "sgd[lr=0.25,schedule=linear]", "sgd[lr=1]", "adam[lr=0.1]", "riemannian[output_metric=ggn,lr=0.5,mass=2]",
    "riemannian[output_metric=ggn_mc,lr=0.1,mass=0.1]", "kfac[lr=0.01,damping=3,refresh=10]",
]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    write_json(tmp_path / "tuned.json", FILE.model_dump())
    return tmp_path / "tuned.json"


@pytest.fixture
def suites(path):
    """A plugin with a suite of hand-written settings, and one that has a file beside them."""
    entries = (Entry(TASK, HAND, 3), Entry("two-spirals", ("sgd[lr=2]",), 1))
    found = [
        TrainingSuite("hand", "by hand", entries, threads=1, tuning="by hand"),
        TrainingSuite("beside", "with a file", entries, threads=1, tuning="by hand", tuned=path),
    ]
    with registered(suites=found):
        yield found


def methods(**options):
    return [cell.method for cell in Request(**options).cells() if cell.task == TASK]


def test_a_file_is_read_as_it_was_written(path):
    assert read_tuned(path) == FILE


class TestSettings:
    def test_a_file_replaces_what_differs_in_searched_settings_alone(self, suites, path):
        assert methods(suites=("beside",)) == FOUND
        assert methods(suites=("hand",), tuned=str(path)) == FOUND

    def test_without_a_file_the_suite_s_own_hold(self, suites):
        assert methods(suites=("hand",))[:3] == [*HAND[:3]]

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ("sgd", ["sgd[lr=0.25,schedule=linear]", "sgd[lr=1]"]),
            ("kfac", ["kfac[lr=0.01,damping=3,refresh=10]"]),
            ("sgd[lr=3]", ["sgd[lr=3]"]),
            ("adam", ["adam[lr=0.1]"]),
        ],
    )
    def test_a_bare_method_is_the_tuned_one_and_brackets_are_taken_as_they_are(self, suites, asked, found):
        assert methods(suites=("beside",), methods=(asked,), tasks=("digits",)) == found

    def test_another_task_keeps_what_was_written_by_hand(self, suites):
        cells = Request(suites=("beside",), tasks=("digits[hidden=[5]]",)).cells()
        assert {cell.method for cell in cells} & {SGD.settings, GGN.settings, KFAC.settings} == set()
        spirals = Request(suites=("beside",), tasks=("two-spirals",)).cells()
        assert [cell.method for cell in spirals] == ["sgd[lr=2]", "adam[lr=0.004]"]

    def test_a_file_of_the_user_goes_before_the_suite_s(self, suites, tmp_path):
        other = FILE.model_copy(update={"tuned": (SGD.model_copy(update={"settings": "sgd[lr=0.7,schedule=linear]"}),)})
        write_json(tmp_path / "other.json", other.model_dump())
        found = methods(suites=("beside",), tuned=str(tmp_path / "other.json"))
        assert found[0] == "sgd[lr=0.7,schedule=linear]"
        assert KFAC.settings not in found

    @pytest.mark.parametrize(
        ("content", "options", "words"),
        [
            (None, {}, "cannot be read: No such file.*tuned.json of `rbench tune"),
            ("{", {}, "holds no tuned settings; give the tuned.json"),
            ('{"cells": []}', {}, "holds no tuned settings"),
            (FILE.model_dump_json(), {"methods": ("adam",), "tasks": ("digits",)}, "no settings.*it has .*sgd.*on dig"),
            (FILE.model_dump_json(), {"batch_size": 7}, "no settings for this request"),
            ('{"suite": "hand", "tuned": []}', {}, "no settings for this request; it has none"),
        ],
    )  # fmt: skip
    def test_a_file_of_no_use_is_refused(self, suites, tmp_path, content, options, words):
        path = tmp_path / "given.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(DataError, match=words):
            Request(suites=("hand",), tuned=str(path), **options).cells()
        asked = [word for method in options.get("methods", ()) for word in ("-m", method)]
        asked += [word for task in options.get("tasks", ()) for word in ("-t", task)]
        asked += ["--batch-size", "7"] if "batch_size" in options else []
        done = call("run", "hand", "--tuned", path, "-n", *asked)
        assert (done.exit_code, done.stdout) == (2, "")

    def test_built_in_suites_look_beside_themselves(self, tmp_path, monkeypatch):
        (tmp_path / "tuned").mkdir()
        file = tmp_path / "tuned" / "some.json"
        file.touch()
        monkeypatch.setattr(rbench_suites.settings, "__file__", str(tmp_path / "settings.py"))
        assert rbench_suites.settings.tuned("some") == file
        assert rbench_suites.settings.tuned("other") is None

    def test_files_of_built_in_suites_are_used(self):
        for suite in plugins().registered("suites").values():
            if getattr(suite, "tuned", None) is not None:
                request = Request(suites=(suite.name,))
                wanted = {one.settings for one in read_tuned(suite.tuned).tuned if one.score is not None}
                assert {one.settings for one in request.tuning(request.cells()).values()} == wanted


class TestRecords:
    @pytest.fixture
    def done(self, suites, path, tmp_path, monkeypatch):
        """A run with a file, whose cells are not computed."""

        def run_isolated(cell, gate, folder, **options):
            return Record(cell=cell, status="ok", figures={"test_accuracy": 0.5}, environment=environment(cell))

        gate = Gate(backend="numpy", dtype="float32", device="cpu", cases=1, worst=0.0)
        monkeypatch.setattr("rbench.run.machine.run_isolated", run_isolated)
        monkeypatch.setattr("rbench.run.machine.gate", lambda *place, **limits: gate)
        words = ["run", "hand", "-t", "digits", "--tuned", path, "--seeds", 2, "-o", tmp_path / "run"]
        return SimpleNamespace(words=words, folder=tmp_path / "run", result=call(*words))

    def test_a_record_holds_the_search_that_its_settings_come_from(self, done):
        assert done.result.exit_code == 0, done.result.output
        records, _ = read_records(done.folder)
        by_settings = {SGD.settings: SGD, GGN.settings: GGN, KFAC.settings: KFAC}
        assert len(records) == 2 * len(FOUND)
        assert all(record.tuning == by_settings.get(record.cell.method) for record in records)
        assert json.loads((done.folder / "run.json").read_text())["request"]["tuned"].endswith("tuned.json")

    def test_a_record_that_was_there_before_is_told_so_too(self, done):
        for file in (done.folder / "cells").glob("*.json"):
            record = Record.model_validate_json(file.read_text())
            write_record(done.folder, record.model_copy(update={"tuning": None}))
        again = call(*done.words)
        assert again.exit_code == 0
        assert sum(record.tuning is not None for record in read_records(done.folder)[0]) == 6

    def test_the_table_says_how_each_method_was_tuned(self, done):
        lines = done.result.stdout.splitlines()
        (note,) = [line for line in lines if line.startswith("- Tuned")]
        assert note.startswith(
            f"- Tuned by rbench tune on {TASK}, 4 trials per method, the best accuracy on a validation split after 3 "
            "epochs, numpy float32, Sobol points and training with seed 1000: sgd[schedule=linear] (lr log 0.001..1): "
            "none failed, 12.0 s, 87.50 %; riemannian[output_metric=ggn] (lr log 0.001..1, mass log 0.001..10): "
        )
        assert "- Settings of suite hand: by hand." in lines
        assert not any("No tuning" in line for line in lines)


def record(tuning, seed=0, epochs=3):
    cell = Training(
        suite="none", task=TASK, method=tuning.settings, backend="numpy", seed=seed, budget=Budget(epochs=epochs)
    )
    return Record(cell=cell, status="ok", figures={"test_accuracy": 0.5}, tuning=tuning)


class TestFootnotes:
    def test_failures_and_what_was_not_found_are_told(self):
        notes = footnotes([record(ADAM)])
        assert any("adam (lr log 0.001..1): 3 diverged, 1 timeout, 12.0 s, nothing found." in note for note in notes)

    def test_a_seed_that_a_trial_had_is_told(self):
        assert "Seed 1000 is also that of the trials." in footnotes([record(SGD), record(SGD, 1000)])
        assert not any("also that" in note for note in footnotes([record(SGD)]))

    def test_confirmations_are_told(self):
        confirmed = SGD.model_copy(update={"confirmed": 3, "confirming": (1001, 1002)})
        (note,) = [note for note in footnotes([record(confirmed)]) if note.startswith("Tuned")]
        assert "seed 1000, the best 3 run again on seeds 1001, 1002 and chosen among by the mean: sgd" in note
        assert "Seed 1002 is also that of the trials." in footnotes([record(confirmed, 1002)])

    def test_each_way_of_searching_is_a_sentence(self):
        other = SGD.model_copy(update={"trials": 8, "method": "sgd", "figure": "squared_error", "score": 0.5})
        notes = [note for note in footnotes([record(SGD), record(KFAC), record(other)]) if note.startswith("Tuned")]
        assert ["; kfac" in note for note in notes] == [True, False]
        assert notes[1].endswith("sgd (lr log 0.001..1): none failed, 12.0 s, 0.500.")

    @pytest.mark.parametrize(("epochs", "told"), [(3, False), (4, True)])
    def test_another_budget_is_told(self, suites, epochs, told):
        one = record(SGD, epochs=epochs)
        one = one.model_copy(update={"cell": one.cell.model_copy(update={"suite": "hand"})})
        words = f"No tuning is on record for this task, method and budget: sgd on digits, {epochs} epochs."
        assert (words in footnotes([one])) == told
