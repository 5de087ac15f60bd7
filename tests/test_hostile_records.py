"""Whatever a file of a run holds, it is read by its declared types: damaged or newer, and never a traceback."""

import json
import os

import pytest

import rbench
from helpers.command import call
from helpers.faults import SPIRALS, Shown, made, path_of
from rbench.errors import RbenchError
from rbench.report.load import load
from rbench.run import Record, read_records
from rbench.run.reading import DamagedError, NewerError
from rbench.run.record import _sum, find, write_json, write_record
from rbench.run.resume import find_records
from rbench.run.run_file import read_run_file
from rbench.run.tuned import read_tuned

RUN = ("run", "-t", SPIRALS, "-m", "sgd", "--steps", "3", "--threads", "1", "-o")
KNOWN = {"rbench": "9.9", "cpu": "Abacus", "libraries": {"numpy": "2.0"}, "commit": None}


def whole():
    """A record with something in each of its parts."""
    history = [{"step": 0, "seconds": 0.0, "train_loss": 1.0}, {"step": 3, "seconds": 0.5, "train_loss": 0.25}]
    figures = {"device": "cpu", "phase_seconds": {"step": 0.5}, "seconds_to_target": 0.5, "steps": 3}
    record = made()
    changes = {"history": history, "figures": record.figures | figures, "provenance": KNOWN}
    return record.model_copy(update=changes)


def stored(directory, change=lambda content: None, record=None):
    """Store a record of which something is changed, with the right sum; its file."""
    record = record or whole()
    write_record(directory, record)
    path = path_of(directory, record)
    content = {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"}
    del content["text_sha256"]
    change(content)
    path.write_text(json.dumps({"sha256": _sum(content), **content}))
    write_json(directory / "run.json", {"cells": [path.stem]})
    return path


def put(value, *place):
    def change(content):
        *outer, last = place
        for name in outer:
            content = content[name]
        content[last] = value

    return change


def drop(*place):
    def change(content):
        *outer, last = place
        for name in outer:
            content = content[name]
        del content[last]

    return change


LARGE, NAN = 10**400, float("nan")
WRONG = {
    "seed is text": put("5", "cell", "seed"),
    "seed is true": put(True, "cell", "seed"),
    "seed is large": put(LARGE, "cell", "seed"),
    "seed is a fraction": put(0.5, "cell", "seed"),
    "threads are large": put(2**63, "cell", "threads"),
    "no seed's cell": drop("cell"),
    "no task": drop("cell", "task"),
    "task is a number": put(5, "cell", "task"),
    "two budgets": put({"epochs": 1, "steps": 1}, "cell", "budget"),
    "budget is NaN": put({"seconds": NAN}, "cell", "budget"),
    "no status": drop("status"),
    "status is a number": put(5, "status"),
    "reason is a list": put([], "reason"),
    "figure is a list": put([1], "figures", "train_loss"),
    "figure is text": put("0.1", "figures", "train_loss"),
    "figure is true": put(True, "figures", "step_seconds"),
    "figure is large": put(LARGE, "figures", "test_loss"),
    "figure is NaN": put(NAN, "figures", "test_loss"),
    "figure is infinite": put(float("inf"), "figures", "test_loss"),
    "device is a number": put(5, "figures", "device"),
    "data are a number": put(5, "figures", "dataset_sha256"),
    "phases are a list": put([], "figures", "phase_seconds"),
    "a phase is text": put("1", "figures", "phase_seconds", "step"),
    "figures are a list": put([], "figures"),
    "history is a number": put(5, "history"),
    "evaluation is a list": put([1], "history", 0),
    "evaluation holds text": put("x", "history", 0, "train_loss"),
    "evaluation holds true": put(True, "history", 0, "step"),
    "evaluation is large": put(LARGE, "history", 0, "step"),
    "provenance is text": put("x", "provenance"),
    "cpu is a number": put(5, "provenance", "cpu"),
    "libraries are a list": put([1], "provenance", "libraries"),
    "commit is a number": put(5, "provenance", "commit"),
    "commit's id is a number": put({"id": 5, "dirty": False}, "provenance", "commit"),
    "blas is a list of numbers": put([1, 2], "provenance", "blas"),
    "environment holds numbers": put({"cpu": 5}, "environment"),
    "gate is text": put("x", "gate"),
    "gate is infinite": put({"backend": "numpy", "device": None, "dtype": "float32", "worst": float("inf")}, "gate"),
    "tuning is empty": put({}, "tuning"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_record_of_wrong_types_is_damaged_though_its_sum_is_right(tmp_path, name):
    path = stored(tmp_path, WRONG[name])
    assert find(tmp_path) == ([], [path], {})
    shown = Shown()
    assert find_records(tmp_path, shown.warn) == {}
    assert f"{path} is damaged: it is now {path.name}.damaged" in shown.warnings[0]


FINE = {
    "nothing": lambda content: None,
    "an integer for a float": put(1, "figures", "train_loss"),
    "a figure that is not known": put("x", "figures", "mood"),
    "a fact that is not known": put({"deep": [1, {"er": None}]}, "provenance", "weather"),
    "no provenance": drop("provenance"),
    "an empty provenance": put({}, "provenance"),
    "a figure of the cell's name": put({"a": 1.0}, "figures", "suite"),
    "an evaluation without seconds": put({"step": 1}, "history", 0),
}


@pytest.mark.parametrize("name", FINE)
def test_what_the_types_allow_is_read_and_shown(tmp_path, name):
    stored(tmp_path, FINE[name])
    (record,), damaged = read_records(tmp_path)
    assert damaged == []
    assert record.row()["suite"] == "none"
    for words in (("table",), ("table", "--format", "json"), ("table", "--history")):
        done = call(*words, tmp_path)
        assert done.exit_code == 0, done.exception


BYTES = {
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep lists": b"[" * 100_000,
    "half of a surrogate pair": b'{"reason": "\\ud800"}',
    "no UTF-8": b'{"reason": "\xff\xfe"}',
    "a byte order mark": b'\xef\xbb\xbf{"cell": "x"}',
    "UTF-16": '{"cell": "x"}'.encode("utf-16"),
    "many digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "a key twice": b'{"sha256": "0", "sha256": "1", "environment": {}}',
    "a number": b"5",
    "nothing": b"",
    "zeros": b"\0" * 999,
}


@pytest.mark.parametrize("text", BYTES.values(), ids=BYTES)
def test_bytes_that_are_no_record_are_damaged_wherever_they_stand(tmp_path, bench, text):
    path = stored(tmp_path)
    path.write_bytes(text)
    assert find(tmp_path) == ([], [path], {})
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(DamagedError, match=r"run\.json is damaged"):
        read_run_file(tmp_path)
    done = call("table", tmp_path)
    assert (done.exit_code, type(done.exception)) == (2, SystemExit)
    assert "holds no run" in done.stderr
    done = call(*RUN, tmp_path)
    assert done.exit_code == 0, (done.exception, done.output)
    assert "run.json is damaged" in done.stderr
    assert path.with_name(f"{path.name}.damaged").read_bytes() == text
    assert (tmp_path / "run.json.damaged").read_bytes() == text
    assert len(read_records(tmp_path)[0]) == 1


def sparse(path):
    with path.open("wb") as file:
        file.truncate(2**36)


STRANGE = {
    "a directory": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link in a circle": lambda path: path.symlink_to(path),
    "a link to nowhere": lambda path: path.symlink_to(path.with_name("nowhere")),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "64 GiB": sparse,
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_file_holds_nothing_up(tmp_path, bench, name):
    path = stored(tmp_path)
    for one in (path, tmp_path / "run.json"):
        one.unlink()
        STRANGE[name](one)
    assert find(tmp_path) == ([], [path], {})
    done = call("table", tmp_path)
    assert (done.exit_code, type(done.exception)) == (2, SystemExit)
    done = call(*RUN, tmp_path)
    assert done.exit_code == 0, (done.exception, done.output)
    assert len(read_records(tmp_path)[0]) == 1


def test_what_goes_while_it_is_read_is_not_there(tmp_path, monkeypatch):
    stored(tmp_path)

    def gone(path):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("rbench.run.record.read_bytes", gone)
    assert find(tmp_path) == ([], [], {})


def test_a_second_damaged_file_does_not_take_the_place_of_the_first(tmp_path):
    for text in ("one", "two", "three"):
        stored(tmp_path).write_text(text)
        find_records(tmp_path, lambda words: None)
    kept = sorted(path.name.rpartition(".json.")[2] for path in (tmp_path / "cells").iterdir())
    assert kept == ["damaged", "damaged-2", "damaged-3"]


RUN_FILES = ['{"cells": 5}', '{"cells": [5]}', '{"cells": {}}', '{"cells": [], "earlier": 5}', '{"cells": null}']


@pytest.mark.parametrize("text", RUN_FILES)
def test_a_run_whose_plan_is_damaged_is_shown_and_goes_on(tmp_path, bench, text):
    assert call(*RUN, tmp_path).exit_code == 0
    (tmp_path / "run.json").write_text(text)
    done = call("table", tmp_path)
    assert done.exit_code == 0
    assert "what was planned is not known" in done.stderr
    done = call(*RUN, tmp_path)
    assert done.exit_code == 0, done.exception
    assert "cells from an earlier run: 1; to run: 0" in done.stderr
    assert "it is now run.json.damaged" in done.stderr


def test_text_that_no_file_may_hold_is_written_so_that_it_can_be_read(tmp_path):
    record = made().model_copy(update={"status": "crashed", "reason": "cannot open '\udcff' é"})
    write_record(tmp_path, record)
    (found,), damaged = read_records(tmp_path)
    assert (found.reason, damaged) == ("cannot open '\\udcff' é", [])


NEWER = {
    "a field": put(1, "mood"),
    "a field of the cell": put(1, "cell", "precision"),
    "a field of the budget": put(1, "cell", "budget", "joules"),
    "a field of the gate": put({"backend": "numpy", "device": None, "dtype": "float32", "tests": 5}, "gate"),
    "a status": put("paused", "status"),
    "something random": put(["weights", "dropout"], "cell", "fixed"),
    "a field of a type of its own": put({"deep": [1]}, "mood"),
}


class TestNewer:
    @pytest.mark.parametrize("name", NEWER)
    def test_a_record_of_a_newer_version_is_named_and_left(self, tmp_path, bench, name):
        path = stored(tmp_path, NEWER[name])
        other = whole().model_copy(update={"cell": whole().cell.model_copy(update={"seed": 7})})
        write_record(tmp_path, other)
        before = path.read_bytes()
        (record,), damaged, newer = find(tmp_path)
        assert (record.cell.seed, damaged, list(newer)) == (7, [], [path])
        assert f"{path} was written by rbench 9.9; this one, {rbench.__version__}, does not know" in newer[path]
        records, warnings = load([tmp_path])
        assert [one.cell.seed for one in records] == [7]
        assert len(warnings) == 1
        assert warnings[0].endswith("it is left out")
        for more in ((), ("--force",)):
            done = call(*RUN, tmp_path, *more)
            assert done.exit_code == 2
            assert "was written by rbench 9.9" in done.stderr
            assert "run with the version that wrote them, or name another directory with -o" in done.stderr
        assert bench.ran == []
        assert path.read_bytes() == before
        assert not list((tmp_path / "cells").glob("*.damaged"))

    def test_the_version_stands_in_the_environment_where_there_is_no_provenance(self, tmp_path):
        def change(content):
            content |= {"mood": 1, "provenance": {}}
            content["environment"]["rbench"] = "8.8"

        path = stored(tmp_path, change)
        assert "was written by rbench 8.8" in find(tmp_path).newer[path]

    def test_a_record_that_is_damaged_is_not_newer(self, tmp_path):
        path = stored(tmp_path, put(1, "mood"))
        path.write_text(path.read_text().replace('"mood": 1', '"mood": 2'))
        assert find(tmp_path) == ([], [path], {})

    @pytest.mark.parametrize("words", [RUN, ("table",)])
    def test_a_newer_plan_is_named_and_left(self, tmp_path, bench, words):
        path = stored(tmp_path)
        text = json.dumps({"cells": [path.stem], "mood": 1, "provenance": {"rbench": "9.9"}})
        (tmp_path / "run.json").write_text(text)
        done = call(*words, tmp_path)
        assert done.exit_code == (2 if words is RUN else 0)
        assert "was written by rbench 9.9" in done.stderr
        assert (tmp_path / "run.json").read_text() == text

    @pytest.mark.parametrize("name", ["tune.json", "tuned.json"])
    def test_a_newer_tune_is_named_and_left(self, tmp_path, bench, name):
        tune = {"trials": 2, "facts": {}, "provenance": {"rbench": "9.9"}}
        newer = {"tune.json": {**tune, "mood": 1}, "tuned.json": {"suite": "x", "tuned": [], "mood": 1} | tune}
        write_json(tmp_path / "tune.json", tune)
        write_json(tmp_path / name, newer[name])
        before = (tmp_path / name).read_text()
        done = call("tune", "-t", SPIRALS, "-m", "sgd", "--threads", 1, "-o", tmp_path)
        assert done.exit_code == 2
        assert "was written by rbench 9.9" in done.stderr
        assert (tmp_path / name).read_text() == before
        if name == "tuned.json":
            with pytest.raises(NewerError, match=r"9\.9.*of this version"):
                read_tuned(tmp_path / name)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"suite": 5, "tuned": []}', '{"suite": "x", "tuned": 5}', "\ufeff{}"])
def test_settings_of_wrong_types_are_refused(tmp_path, text):
    (tmp_path / "tuned.json").write_text(text)
    with pytest.raises(RbenchError, match="holds no tuned settings"):
        read_tuned(tmp_path / "tuned.json")


def test_a_record_without_a_sum_is_damaged(tmp_path):
    path = stored(tmp_path)
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))
    assert read_records(tmp_path) == ([], [path])


def test_a_file_that_another_tool_wrote_anew_is_read(tmp_path):
    write_record(tmp_path, whole())
    path = path_of(tmp_path, whole())
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_records(tmp_path) == ([whole()], [])
    assert isinstance(read_records(tmp_path)[0][0], Record)
