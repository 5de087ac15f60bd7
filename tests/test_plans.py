"""`run.json` keeps what was planned and not finished, whatever is run into the directory next."""

import json

import pytest

from helpers.command import call
from helpers.faults import SPIRALS, Shown
from rbench.report.load import load
from rbench.run import Budget, Request, read_records
from rbench.run import run as run_request
from rbench.run.record import write_json
from rbench.run.run_file import RunFile, read_run_file, write_run_file


def request(*methods, seeds=2):
    return Request(tasks=(SPIRALS,), methods=methods, budget=Budget(steps=3), threads=1, seeds=seeds)


def killed(bench, asked, directory, after, **options):
    """Run until so many cells have ended, of which the last has its record."""
    bench.stop_after, bench.ran = after - 1, []
    with pytest.raises(KeyboardInterrupt):
        run_request(asked, directory, Shown(), **options)
    bench.stop_after = float("inf")


def missing(directory):
    """What `rbench table` says is missing, and how much of that is of earlier requests."""
    _, warnings = load([directory])
    plan, (records, _) = read_run_file(directory), read_records(directory)
    own, before = plan.missing({record.cell.key for record in records})
    assert bool(warnings) == bool(own or before)
    if own or before:
        (warning,) = warnings
        assert f"{len(own) + len(before)} of " in warning
        assert (f"{len(before)} of them are of earlier requests" in warning) == bool(before)
    return len(own), len(before)


def test_another_request_does_not_make_the_first_forgotten(bench, tmp_path):
    killed(bench, request("sgd", "adam"), tmp_path, 1)
    assert missing(tmp_path) == (3, 0)
    run_request(request("kfac"), tmp_path, Shown())
    assert missing(tmp_path) == (0, 3)
    content = json.loads((tmp_path / "run.json").read_text())
    assert set(content) == {"request", "provenance", "cells", "earlier"}
    assert content["request"]["methods"] == ["kfac"]
    assert content["earlier"][0]["request"]["methods"] == ["sgd", "adam"]
    done = call("table", tmp_path)
    assert "3 of 5 cells have no record; run it again to finish them; 3 of them are of earlier" in done.stderr
    run_request(request("sgd", "adam"), tmp_path, Shown())
    assert missing(tmp_path) == (0, 0)
    assert "earlier" not in json.loads((tmp_path / "run.json").read_text())


@pytest.mark.parametrize("force", [False, True])
def test_a_smaller_request_leaves_what_is_left_of_the_larger(bench, tmp_path, force):
    killed(bench, request("sgd", "adam"), tmp_path, 1)
    run_request(request("sgd"), tmp_path, Shown(), force=force)
    assert missing(tmp_path) == (0, 2)
    run_request(request("sgd"), tmp_path, Shown(), force=force)
    assert missing(tmp_path) == (0, 2)


def test_plans_that_are_killed_one_after_another_all_stay(bench, tmp_path):
    killed(bench, request("sgd"), tmp_path, 1)
    killed(bench, request("adam"), tmp_path, 1)
    killed(bench, request("kfac"), tmp_path, 1)
    assert missing(tmp_path) == (1, 2)
    assert [len(plan.cells) for plan in read_run_file(tmp_path).earlier] == [1, 1]
    killed(bench, request("adam"), tmp_path, 1)
    assert missing(tmp_path) == (0, 2)
    run_request(request("sgd"), tmp_path, Shown())
    assert missing(tmp_path) == (0, 1)


def test_a_plan_that_is_resumed_is_kept_once(bench, tmp_path):
    for _ in range(3):
        killed(bench, request("sgd", "adam", seeds=3), tmp_path, 1)
    assert missing(tmp_path) == (3, 0)
    assert read_run_file(tmp_path).earlier == ()


def test_a_plan_of_an_earlier_rbench_is_kept(bench, tmp_path):
    write_json(tmp_path / "run.json", {"request": {}, "provenance": {}, "cells": ["some--cell--numpy--s0--0123456789"]})
    run_request(request("sgd"), tmp_path, Shown())
    assert missing(tmp_path) == (0, 1)


def test_a_plan_that_gives_the_earlier_up_replaces_it(tmp_path):
    write_run_file(tmp_path, {}, ["a"], before=None, there=())
    write_run_file(tmp_path, {}, ["b"], before=None, there=())
    assert read_run_file(tmp_path).earlier == ()
    write_run_file(tmp_path, {}, ["c", "d"], before=RunFile(cells=("b", "d", "e")), there=["e"])
    assert [plan.cells for plan in read_run_file(tmp_path).earlier] == [("b",)]
