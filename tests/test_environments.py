"""Figures of two machines, versions or data sets are never pooled, marked or ranked together."""

import csv
import io
import json

import pytest

from helpers.command import call
from helpers.faults import write_run
from rbench.cost import StepCost
from rbench.errors import DataError
from rbench.report import comparison, footnotes, history, render, render_history
from rbench.report.environments import told_apart
from rbench.report.profile import render_profiles
from rbench.report.ranking import render_ranking
from rbench.run import FIELDS, Budget, Record, Training

HERE = {"rbench": "1", "source of rbench": "aa", "numpy": "2.0", "cpu": "Abacus"}
THERE = HERE | {"cpu": "Sliderule"}


def record(method="sgd", seed=0, environment=HERE, factor=1.0, *, task="t", sha="ab", threads=1, **others):
    cell = Training(
        suite="s", task=task, method=method, backend="numpy", seed=seed, budget=Budget(steps=5), threads=threads
    )
    figures = {"device": "cpu", "dataset_sha256": sha * 32, "test_loss": factor * (1 + seed), "target_reached": True}
    figures |= {"seconds_to_target": factor * (1 + seed)}
    points = [{"step": 0, "seconds": 0.0, "test_loss": factor}]
    return Record(
        cell=cell, **{"status": "ok", "figures": figures, "history": points, "environment": environment} | others
    )


def both(other=THERE):
    """Two methods at two seeds, here, and a hundred times as large elsewhere."""
    return [record(m, s, e, f) for e, f in ((HERE, 1.0), (other, 100.0)) for m in ("sgd", "adam") for s in (0, 1)]


DIFFERENT = {
    "cpu": THERE,
    "numpy": HERE | {"numpy": "2.1"},
    "source of rbench": HERE | {"source of rbench": "bb"},
    "rbench": HERE | {"rbench": "2"},
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_environment_is_a_row_of_its_own(name):
    records = both(DIFFERENT[name])
    shown = comparison(records)
    assert list(shown["environment"]) == ["A", "A", "B", "B"]
    assert [value.lstrip("*~")[:4] for value in shown["test loss"]] == ["1.50", "1.50", "150 ", "150 "]
    assert sorted(value[0] for value in shown["test loss"]) == ["*", "*", "~", "~"]
    (note,) = [one for one in footnotes(records) if one.startswith("Environments differ")]
    assert f"A: {name} {HERE[name]}; B: {name} {DIFFERENT[name][name]}." in note
    for form in ("markdown", "latex", "html"):
        assert render(records, form).count("B") >= 2


def test_raw_rows_and_histories_say_their_environment():
    records = both()
    for text in (render(records, "json"), render_history(records, "json")):
        assert [row["environment"] for row in json.loads(text)] == ["cpu Abacus"] * 4 + ["cpu Sliderule"] * 4
    for text in (render(records, "csv"), render_history(records, "csv")):
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["environment"] for row in rows] == ["cpu Abacus"] * 4 + ["cpu Sliderule"] * 4
    assert tuple(json.loads(render(records[:4], "json"))[0]) == FIELDS
    assert "environment" not in history(records[:4])


def test_seeds_of_one_cell_on_two_machines_are_not_its_seeds():
    shown = comparison([record(seed=0), record(seed=1), record(seed=2, environment=THERE)])
    assert list(shown["seeds"]) == ["2", "1"]


@pytest.mark.parametrize("other", [{}, {"torch": "1", **HERE}, {"numpy": "2.0"}])
def test_what_agrees_in_all_that_both_say_is_one_environment(other):
    assert "environment" not in comparison([record(), record(seed=1, environment=other)])


def test_a_library_that_one_method_alone_has_does_not_join_what_differs():
    found = told_apart([HERE, HERE | {"torch": "1"}, HERE | {"torch": "2"}, HERE])
    assert (found.labels, found.words) == (["A", "A", "B", "A"], {"A": "torch 1", "B": "torch 2"})


def test_the_commits_of_two_environments_are_named_by_their_letters():
    made = {"aa": "1" * 40, "bb": "2" * 40}
    records = [
        record(environment=HERE | {"source of rbench": source}, provenance={"commit": {"id": commit}, "cpu": "Abacus"})
        for source, commit in made.items()
    ]
    notes = footnotes(records)
    assert any("A: source of rbench aa; B: source of rbench bb." in note for note in notes)
    assert notes[-2:] == [
        f"{letter}: Abacus, rbench at commit {str(digit) * 10}, NumPy None." for letter, digit in (("A", 1), ("B", 2))
    ]
    assert footnotes(records[:1])[-1].startswith("Abacus, ")


def test_ranks_and_profiles_are_of_one_environment():
    for render_one in (render_ranking, render_profiles):
        lines = json.loads(render_one(both(), "json"))
        assert {line["environment"] for line in lines} == {"cpu Abacus", "cpu Sliderule"}
        text = render_one(both(), "markdown")
        assert "cpu Abacus" in text
        assert "cpu Sliderule" in text
        assert all("environment" not in line for line in json.loads(render_one(both()[:4], "json")))
    assert {line["problems"] for line in json.loads(render_profiles(both(), "json"))} == {2}


def test_other_data_are_rows_of_their_own_and_neither_ranked_nor_profiled():
    records = [record("sgd"), record("adam", sha="cd"), record("sgd", task="u", sha="ef")]
    shown = comparison(records)
    assert list(shown["data"]) == ["cdcdcdcd", "abababab", "efefefef"]
    for render_one in (render_ranking, render_profiles):
        with pytest.raises(DataError, match=f"data of t are not the same.*sha256 {'ab' * 32} and {'cd' * 32}"):
            render_one(records, "markdown")


def test_a_run_that_died_has_the_data_of_the_others():
    dead = record("adam", status="crashed", reason="boom", figures={})
    assert "data" not in comparison([record("sgd"), dead])


def test_threads_are_rows_of_their_own():
    assert list(comparison([record(), record(seed=1, threads=2)])["threads"]) == ["1", "2"]


def test_a_directory_that_is_given_twice_is_read_once(tmp_path):
    write_run(tmp_path / "a", [record(seed=0), record(seed=1, status="diverged", reason="late")])
    (tmp_path / "b").symlink_to(tmp_path / "a")
    done = call("table", tmp_path / "a", tmp_path / "b", "--format", "json")
    assert len(json.loads(done.stdout)) == 2
    assert "is given twice, and read once" in done.stderr


def test_a_seed_that_occurs_twice_counts_once(tmp_path):
    failed = record(seed=1, status="diverged", reason="late")
    write_run(tmp_path / "a", [record(seed=0), failed])
    write_run(tmp_path / "b", [record(seed=0), failed])
    assert "diverged 1 of 2: late" in call("table", tmp_path / "a", tmp_path / "b").stdout


def costs(folder, environment, seconds, *, sweep=None, networks=("4-3",)):
    """A run that measured steps."""
    where = {"suite": "memory", "backend": "numpy", "batch_size": 2, "sweep": sweep}
    cells = [StepCost(network=name, method=method, **where) for name in networks for method in ("sgd", "adam")]
    figures = {"device": "cpu", "step_seconds": seconds, "rounds": 3}
    peaks = [round(seconds * 2**20) * (1 + (cell.method == "adam")) for cell in cells]
    found = [figures | {"peak_host_bytes": peak} for peak in peaks]
    made = [Record(cell=c, status="ok", figures=f, environment=environment) for c, f in zip(cells, found, strict=True)]
    write_run(folder, made)


@pytest.mark.parametrize(("other", "words"), [(THERE, "cpu Sliderule")])
def test_two_runs_of_costs_are_told_apart(tmp_path, other, words):
    costs(tmp_path / "a", HERE, 1.0)
    costs(tmp_path / "b", other, 100.0)
    text = call("table", tmp_path / "a", tmp_path / "b").stdout
    head, _, *rows = [[part.strip() for part in line.split("|")] for line in text.splitlines() if line.startswith("|")]
    place, above = head.index("environment"), head.index("host above sgd MiB")
    assert [(row[place], row[above]) for row in rows] == [("A", "0.00"), ("A", "1.00"), ("B", "0.00"), ("B", "100")]
    assert f"B: {words}" in text
    lines = json.loads(call("table", tmp_path / "a", tmp_path / "b", "--format", "json").stdout)
    assert len({line["environment"] for line in lines}) == 2


def test_two_runs_of_a_series_are_two_series(tmp_path):
    for name, environment, seconds in (("a", HERE, 1.0), ("b", THERE, 100.0)):
        costs(tmp_path / name, environment, seconds, sweep="n", networks=("4-3", "12-10", "100-30"))
    text = call("table", tmp_path / "a", tmp_path / "b").stdout
    assert "numpy cpu float32 A" in text
    assert "numpy cpu float32 B" in text
    assert text.count("1000 ms") == 6
