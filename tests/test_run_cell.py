"""One cell in this process: what it records, that it repeats, when it stops; and records on disk."""

import json
from itertools import pairwise

import numpy as np
import pytest

from helpers import faults
from helpers.faults import TASK
from rbench.plugins import plugins
from rbench.run import FIELDS, Budget, Record, read_records
from rbench.run.record import read_record, write_json, write_record
from rbench.run.worker import run_cell

FIXED = (
    "suite task method backend device dtype seed status reason steps train_loss test_loss test_accuracy step_seconds "
    "step_ratio_to_sgd compile_seconds train_seconds seconds_to_target peak_host_bytes peak_device_bytes n_parameters "
    "dataset_sha256 dataset_official"
).split()
EASY = "regression[n_train=100,n_test=20,batch_size=20,features=2,outputs=1,condition=1,noise=0]"
METHODS = [
    "sgd", "adam", "riemannian[rank=2]", "riemannian[output_metric=ggn,batch=mean]", "naive",
    "kfac[refresh=2]", "natural-gradient[iterations=2]", "ekfac[refresh=2]", "prong[refresh=2]",
    "shampoo[refresh=2]", "soap[refresh=2]", "muon", "modular-norm",
]  # fmt: skip


def cell(method, task=TASK, budget=None, **options):
    return faults.cell(method, task=task, **{"dtype": "float64", "budget": budget or Budget(steps=5), **options})


def course(record):
    """The history without times."""
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in record.history]


def test_every_built_in_method_is_run_here():
    built_in = {name for name, cls in plugins().registered("methods").items() if cls.__module__.startswith("rbench.")}
    assert {spec.partition("[")[0] for spec in METHODS} == built_in


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_repeats_itself_and_its_seed_counts(method):
    first, again, other = (run_cell(cell(method, seed=seed)) for seed in (1, 1, 2))
    assert [record.status for record in (first, again, other)] == ["ok"] * 3, first.reason
    assert course(first) == course(again)
    assert course(first) != course(other)
    assert all(a != b for a, b in pairwise(entry["train_loss"] for entry in course(first)))
    assert [entry["step"] for entry in first.history] == list(range(6))


def test_a_row_has_every_field():
    row = run_cell(cell("sgd")).row()
    assert tuple(row) == FIELDS
    assert [name for name in FIELDS if name in FIXED] == FIXED
    expected = {
        "suite": "none", "task": TASK, "method": "sgd", "backend": "numpy", "device": "cpu", "dtype": "float64",
        "seed": 0, "status": "ok", "reason": None, "steps": 5, "compile_seconds": None, "peak_device_bytes": None,
        "n_parameters": 8 * 3 + 2 * 9, "dataset_official": None, "test_squared_error": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert 0 < row["train_loss"] < 2
    assert 0 < row["test_loss"] < 2
    assert 0 <= row["test_accuracy"] <= 1
    assert row["step_seconds"] > 0
    assert row["step_ratio_to_sgd"] > 0
    assert len(row["dataset_sha256"]) == 64


def test_a_record_says_where_it_comes_from():
    found = run_cell(cell("sgd")).provenance
    assert set(found) >= {"rbench", "commit", "python", "libraries", "cpu", "cores", "blas", "system", "device"}
    assert set(found["libraries"]) >= {"numpy", "scipy"}
    assert found["commit"] is None or set(found["commit"]) == {"id", "dirty"}
    assert all(pool["num_threads"] >= 1 for pool in found["blas"])


def test_the_figures_are_those_of_the_last_evaluation():
    record = run_cell(cell("adam", budget=Budget(epochs=2)))
    last = record.history[-1]
    assert last["step"] == record.figures["steps"] == 2 * 3
    for name in ("train_loss", "test_loss", "test_accuracy"):
        assert record.figures[name] == last[name]
    seconds = [entry["seconds"] for entry in record.history]
    assert seconds == sorted(seconds)
    assert seconds[0] == 0
    assert seconds[-1] == record.figures["train_seconds"]


def test_evaluations_that_are_asked_for_are_all_there_are():
    budget = Budget(steps=6, evaluations=2)
    record = run_cell(cell("sgd", budget=budget))
    every = {entry["step"]: entry for entry in course(run_cell(cell("sgd", budget=budget.length)))}
    assert course(record) == [every[3], every[6]]
    assert record.figures["steps"] == 6


def test_seconds_are_a_budget():
    record = run_cell(cell("sgd", budget=Budget(seconds=0.05)))
    assert record.status == "ok"
    assert 0 < record.figures["train_seconds"] <= 0.05
    assert 1 <= record.figures["steps"] < 1_000_000
    assert record.history[-1]["step"] == record.figures["steps"]


def test_a_run_that_diverges_has_its_seconds_by_phase():
    with np.errstate(over="ignore", invalid="ignore"):
        record = run_cell(cell("sgd[lr=1e30]", EASY, Budget(steps=50)))
    assert record.status == "diverged"
    assert record.figures["phase_seconds"]["step"] > 0


@pytest.mark.parametrize(("steps", "reached"), [(1, False), (200, True)])
def test_the_time_to_the_target(steps, reached):
    record = run_cell(cell("sgd[lr=0.05]", EASY, Budget(steps=steps), seed=1))
    figure, seconds = record.figures["test_squared_error"], record.figures["seconds_to_target"]
    assert (figure <= 0.06) == reached
    if reached:
        first = next(entry for entry in record.history if entry["test_squared_error"] <= 0.06)
        assert 0 < first["seconds"] == seconds < record.figures["train_seconds"]
        assert 0 < first["step"] == record.row()["steps_to_target"] < 200
    else:
        assert seconds is record.row()["steps_to_target"] is None


def test_a_task_without_a_target_has_no_time_to_it(monkeypatch):
    monkeypatch.setattr(plugins().find("tasks", "two-spirals"), "target", None)
    row = run_cell(cell("sgd")).row()
    assert row["target_reached"] is row["seconds_to_target"] is row["steps_to_target"] is None


def test_keys_tell_cells_apart_and_are_file_names():
    cells = [
        cell("sgd"), cell("sgd", seed=1), cell("sgd[lr=0.2]"), cell("sgd", EASY), cell("sgd", dtype="float32"),
        cell("sgd", budget=Budget(steps=6)), cell("sgd", budget=Budget(steps=5, evaluations=2)),
        cell("sgd", budget=Budget(epochs=5)), cell("sgd", suite="other"),
        cell("sgd", unofficial_data=True), cell("sgd", device="cpu"), cell(f"riemannian[mass=[[{'0.1,' * 99}1]]]"),
    ]  # fmt: skip
    keys = [one.key for one in cells]
    assert len(set(keys)) == len(keys)
    for key in keys:
        assert set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
        assert len(key) < 200
    assert cell("sgd").key == keys[0]


class TestOnDisk:
    def test_records_round_trip_in_strict_json(self, tmp_path):
        figures = {"seconds_to_target": None, "train_loss": 0.25, "steps": 3}
        record = Record(cell=cell("sgd"), status="ok", figures=figures, history=[{"step": 0, "x": 1.5}])
        write_record(tmp_path, record)
        assert read_record(tmp_path, record.cell) == record
        assert read_records(tmp_path) == ([record], [])
        (path,) = (tmp_path / "cells").iterdir()
        content = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert content["figures"]["train_loss"] == 0.25

    @pytest.mark.parametrize("fault", ["content", "disk"])
    def test_a_failing_write_leaves_the_old_file_alone(self, tmp_path, monkeypatch, fault):
        path = tmp_path / "some.json"
        write_json(path, {"a": 1})
        if fault == "disk":

            def full(descriptor):
                raise OSError("no space left on device")

            monkeypatch.setattr("rbench.run.record.os.fsync", full)
        with pytest.raises((TypeError, OSError)):
            write_json(path, {"a": object() if fault == "content" else 2})
        assert json.loads(path.read_text()) == {"a": 1}
        assert list(tmp_path.iterdir()) == [path]
