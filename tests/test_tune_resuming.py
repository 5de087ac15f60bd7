"""`rbench tune` goes on where it stopped, and only where it is the same tune."""

import math
import os
import signal
import time

import pytest

from helpers import command
from helpers.tuning import SPIRALS, Silent, request, specs, studies, without_seconds
from rbench.errors import RbenchError
from rbench.methods import SGD, LogUniform
from rbench.methods.sobol import points
from rbench.run import Budget, read_records
from rbench.tune import search


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

    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: text[:-10],
            lambda text: text[:-1],
            lambda text: b"garbage\n" + text,
            lambda text: text + b"\0\0\0\n",
            lambda text: b"{}\n" + text,
            lambda text: b"[]\n",
        ],
    )
    def test_a_damaged_journal_is_set_aside_and_made_anew_from_the_records(self, bench, tmp_path, damage):
        whole = search(request(), tmp_path, Silent())
        bench.ran.clear()
        journal, told = tmp_path / "trials" / "optuna.log", []
        journal.write_bytes(damage(journal.read_bytes()))
        journal.with_name("optuna.log.lock").symlink_to(journal)  # of a process that was killed
        display = Silent()
        display.warn = told.append
        found = search(request(), tmp_path, display)
        assert bench.ran == []
        assert without_seconds(found) == without_seconds(whole)
        assert all(one.seconds == 4 * 0.25 for one in found.tuned)  # what the records say
        assert told == [
            f"{journal} is damaged: it is now optuna.log.damaged, and is made anew from the trials' records"
        ]
        assert [study.n_trials for study in studies(tmp_path)] == [4] * len(found.tuned)
        assert search(request(), tmp_path, Silent()).tuned == found.tuned

    def test_a_journal_that_cannot_be_written_ends_with_words(self, bench, tmp_path, monkeypatch):
        def full(*words, **options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("optuna.study.Study.add_trial", full)
        with pytest.raises(RbenchError, match=r"cannot write .*optuna.log: No space left on device; fix that"):
            search(request(), tmp_path, Silent())
        monkeypatch.undo()

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
            ({"confirmations": 1}, "finalists: 0; this is another: 3"),
            ({"seed": 3}, "seed: 1000; this is another: 3"),
            ({"dtype": "float64"}, "dtype of .*: float32; this is another: float64"),
            ({"device": "cpu"}, "device of .*: None; this is another: cpu"),
            ({"budget": Budget(steps=3)}, "budget of sgd.* on two-spirals.*: 2 epochs; this is another: 3 steps"),
            ({"batch_size": 5}, "searches: .*batch_size=20.*; this is another: .*batch_size=5"),
            ({"threads": 2}, "threads of .*: 1; this is another: 2"),
            ({"timeout": 9.0}, "timeout: None; this is another: 9.0"),
            ({"methods": ("sgd",)}, "searches: adam on .*; this is another: "),
            ({"tasks": (SPIRALS,)}, "searches: .*lanczos.*; this is another: "),
        ],
    )
    def test_another_request_is_refused(self, bench, tmp_path, change, words):
        search(request(), tmp_path, Silent())
        before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
        bench.ran.clear()
        with pytest.raises(RbenchError, match=f"holds a tune .*{words}.*name another `directory`"):
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
        with pytest.raises(RbenchError, match=f"{words}.*another `directory`"):
            search(request(), tmp_path, Silent())
        assert bench.ran == []

    def test_a_directory_that_cannot_be_made_is_named(self, bench, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(RbenchError, match=r"cannot write into .*file"):
            search(request(), tmp_path / "file", Silent())


def test_a_tune_that_is_killed_goes_on_in_fresh_processes(tmp_path):
    """From end to end, with processes: killed in the middle, the same command again finishes it."""
    folder = tmp_path / "tune"
    words = ("tune", "quick", "-t", SPIRALS, "-m", "sgd", "--trials", 2, "--steps", 3, "--threads", 1, "-o", folder)
    process = command.start(*words)
    while not list(folder.glob("trials/cells/*.json")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    (first, *_) = before = {path: path.stat().st_mtime_ns for path in folder.glob("trials/cells/*.json")}

    done = command.run(*words)
    assert done.code == 0, done.err
    assert first.stat().st_mtime_ns == before[first]
    trials, damaged = read_records(folder / "trials")
    assert ([record.status for record in trials], damaged) == (["ok", "ok"], [])
    (run,), _ = read_records(folder)
    assert (run.status, run.cell.seed, run.tuning.trials, run.tuning.failures) == ("ok", 0, 2, {})
    assert run.cell.make_task().spec == SPIRALS
    assert [study.n_trials for study in studies(folder)] == [2]
    again, damaged = read_records(folder / "confirmations")
    assert sorted(record.cell.seed for record in again) == [1001, 1001, 1002, 1002]
    assert ([record.status for record in again], damaged) == (["ok"] * 4, [])
    assert [study.n_trials for study in studies(folder, "confirmations")] == [4]
    assert "Tuned by rbench tune" in done.out
