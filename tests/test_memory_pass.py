"""A memory pass that fails is tried again, then said, and measured on resume, where nothing is trained again."""

import pytest

from helpers.command import call
from helpers.faults import SPIRALS, Shown, by_method, finish, made, path_of, words
from rbench.report import footnotes
from rbench.run import Budget, Request, read_records
from rbench.run import run as run_request
from rbench.run.child_process import Answer
from rbench.run.gate import Gate
from rbench.run.memory_pass import Measured, lacks_memory, with_memory
from rbench.run.provenance import environment
from rbench.train.memory import Peaks

FOUND = Answer(Peaks(host=1000, resident=4096).model_dump_json(), "ok", None, "")
KILLED = Answer("", "crashed", "its process was ended by signal SIGKILL", "")
LATE = Answer("", "timeout", "did not end within 6 s", "")
EMPTY = Answer("", "ok", None, "")
NOTHING = Answer(Peaks(skipped="would need 9 GiB for its arrays; 4 GiB are free").model_dump_json(), "ok", None, "")
REQUEST = Request(tasks=(SPIRALS,), methods=("sgd",), budget=Budget(steps=3), threads=1, seeds=2)


@pytest.fixture
def passes(monkeypatch):
    """What memory passes answer, in turn; each takes one, and the last stays."""
    answers = []

    def run_child(module, question, **options):
        assert module == "rbench.run.memory_worker"
        answers[0].count += 1
        return answers[1] if len(answers) == 2 else answers.pop(1)

    class Count:
        count = 0

    def given(*those):
        answers[:] = [Count(), *those]
        return answers[0]

    monkeypatch.setattr("rbench.run.memory_pass.run_child", run_child)
    return given


@pytest.fixture
def in_this_process(monkeypatch):
    """Cells are not trained: each has a record at once, and its memory pass."""
    trained = []

    def run_isolated(one, gate, folder, *, peaks, progress, checksum, **limits):
        trained.append(one)
        return with_memory(made(one.seed).model_copy(update={"cell": one}), peaks, **limits)

    monkeypatch.setattr("rbench.run.machine.run_isolated", run_isolated)
    monkeypatch.setattr("rbench.run.local.changed", lambda record, data: [])
    monkeypatch.setattr("rbench.run.executor.check_same", lambda *words: None)
    monkeypatch.setattr("rbench.run.machine.gate", lambda *place, **limits: Gate(
        backend=place[0], dtype=place[1], device=place[2], cases=1, worst=0.0
    ))  # fmt: skip
    return trained


@pytest.mark.parametrize("fails", [KILLED, LATE, EMPTY])
def test_one_failure_is_tried_again(passes, fails):
    count, peaks = passes(fails, FOUND), {}
    record = with_memory(made(), peaks)
    assert (record.figures["peak_host_bytes"], record.memory_status, record.memory_reason) == (1000, "ok", None)
    assert (count.count, len(peaks)) == (2, 1)


@pytest.mark.parametrize(
    ("fails", "status", "why"),
    [
        ([KILLED], "crashed", "tried 2 times: its process was ended by signal SIGKILL"),
        ([LATE], "timeout", "tried 2 times: did not end within 6 s"),
        ([EMPTY], "crashed", "tried 2 times: its process ended without an answer"),
        ([KILLED, LATE], "timeout", "tried 2 times: its process was ended by signal SIGKILL; did not end within 6 s"),
    ],
)
def test_two_failures_are_said_and_stand_for_no_other_seed(passes, fails, status, why):
    passes(*fails)
    peaks = {}
    record = with_memory(made(), peaks)
    assert (record.status, record.figures["peak_host_bytes"]) == ("ok", None)
    assert (record.memory_status, record.memory_reason) == (status, why)
    assert record.row()["memory_reason"] == why
    assert peaks == {}
    assert lacks_memory(record)
    (note,) = [note for note in footnotes([record]) if "peak memory" in note]
    assert note == f"No peak memory of sgd on two-spirals: {why}."
    passes(FOUND)
    assert with_memory(made(seed=1), peaks).figures["peak_host_bytes"] == 1000


def test_a_pass_that_had_nothing_to_measure_is_an_answer(passes):
    count, peaks = passes(NOTHING), {}
    records = [with_memory(made(seed), peaks) for seed in range(3)]
    assert count.count == 1
    for record in records:
        assert (record.memory_status, record.figures["peak_host_bytes"]) == ("skipped", None)
        assert record.memory_reason == "would need 9 GiB for its arrays; 4 GiB are free"
        assert not lacks_memory(record)


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({}, False),  # no pass was asked for
        ({"figures": Peaks(host=5).figures()}, False),
        ({"figures": Peaks(resident=5).figures()}, False),  # without memray
        ({"figures": Peaks().figures(), "memory_status": "ok"}, False),
        ({"figures": Peaks().figures(), "memory_status": "timeout", "status": "crashed"}, False),
        ({"figures": Peaks().figures(), "memory_status": "timeout"}, True),
        ({"figures": Peaks().figures(), "memory_status": "timeout", "status": "diverged"}, True),
    ],
)
def test_what_lacks_its_memory(changes, lacking):
    assert lacks_memory(made().model_copy(update=changes)) == lacking


def test_a_resume_measures_what_failed_and_trains_nothing(passes, in_this_process, tmp_path):
    passes(LATE)
    first = run_request(REQUEST, tmp_path, Shown()).records
    assert [record.memory_status for record in first] == ["timeout", "timeout"]
    count, shown = passes(FOUND), Shown()
    again = run_request(REQUEST, tmp_path, shown).records
    assert len(in_this_process) == 2
    assert count.count == 1  # one for both seeds
    assert shown.warnings == ["records without their peak memory, as its measurement failed: 2; it is tried again"]
    assert (shown.todo, shown.kept, shown.ends) == (0, 2, [])
    for before, now in zip(first, again, strict=True):
        peaks = Peaks(host=1000, resident=4096).figures()
        assert now == before.model_copy(
            update={"figures": before.figures | peaks, "memory_status": "ok", "memory_reason": None}
        )
    assert read_records(tmp_path) == (sorted(again, key=lambda record: record.cell.key), [])
    count = passes(FOUND)
    run_request(REQUEST, tmp_path, Shown())
    assert count.count == 0


def test_what_is_measured_on_resume_serves_the_cells_that_still_run(passes, in_this_process, tmp_path):
    passes(LATE)
    (first, second) = run_request(REQUEST, tmp_path, Shown()).records
    path_of(tmp_path, second).unlink()
    count, shown = passes(FOUND), Shown()
    again = run_request(REQUEST, tmp_path, shown).records
    assert [record.figures["peak_host_bytes"] for record in again] == [1000, 1000]
    assert ([one.seed for one in in_this_process], count.count) == ([0, 1, 1], 1)
    assert (shown.todo, shown.kept, [record.cell for record in shown.ends]) == (1, 1, [second.cell])
    assert again[0].history == first.history


def test_peaks_that_other_software_measured_are_not_taken(passes, in_this_process, tmp_path):
    here = environment(REQUEST.cells()[0])
    other = Measured(host=1000, environment=here | {"numpy": "0.1"})
    passes(Answer(other.model_dump_json(), "ok", None, ""))
    for record in run_request(REQUEST, tmp_path, Shown()).records:
        assert (record.status, record.figures["peak_host_bytes"]) == ("ok", None)
        assert record.memory_reason == f"tried 2 times: the software changed before it (numpy: {here['numpy']} → 0.1)"
        assert lacks_memory(record)


def test_the_command_goes_on_with_what_failed(plugin, tmp_path):
    """With processes: a pass that is killed is tried twice; a resume tries it again, and measures no other anew."""
    asked = words(tmp_path, "sgd", "fault-dies-in-the-memory-pass", memory=True)
    code, errors = finish(*asked, env=plugin.env)
    assert code == 0, errors
    found = by_method(tmp_path)
    assert found["sgd"].memory_status == "ok"
    assert found["fault-dies-in-the-memory-pass"].memory_status in ("crashed", "out_of_memory")
    assert found["fault-dies-in-the-memory-pass"].memory_reason.startswith("tried 2 times: ")
    code, errors = finish(*asked, env=plugin.env)
    assert code == 0, errors
    assert "records without their peak memory, as its measurement failed: 1" in errors
    assert "cells from an earlier run: 2; to run: 0" in errors
    done = call("table", tmp_path)
    assert "No peak memory of fault-dies-in-the-memory-pass" in done.stdout
