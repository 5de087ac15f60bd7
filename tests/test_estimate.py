"""Times of cells to run, by what similar ones took."""

import json

import pytest

from helpers.command import call
from rbench.run import Budget, Record, Training
from rbench.run.estimate import estimate, records_below
from rbench.run.record import write_record
from rbench.run.run_file import write_run_file
from rbench.theory.action import Action

REST, STEP, EVALUATION = 0.5, 0.01, 0.02


def cell(method="sgd[lr=0.1]", task="digits", seed=0, **budget):
    settings = {"task": task, "method": method, "budget": Budget(**budget)}
    return Training(suite="s", backend="numpy", seed=seed, **settings)


def record(own, steps, factor=1.0, evaluations=11, status="ok"):
    """A record that took `factor` times as long as the law says."""
    step, evaluation = factor * STEP * steps, factor * EVALUATION * evaluations
    phases = {"step": step, "evaluation": evaluation, "data": 0.1}
    figures = {"steps": steps, "phase_seconds": phases, "train_seconds": step}
    wall = factor * REST + step + evaluation
    return Record(cell=own, status=status, figures=figures, history=[{}] * evaluations, wall_seconds=wall)


@pytest.mark.parametrize(
    ("made", "budget", "seconds"),
    [
        ({"steps": 100}, {"steps": 100}, REST + 100 * STEP + 11 * EVALUATION),
        ({"steps": 100}, {"steps": 1000}, REST + 1000 * STEP + 11 * EVALUATION),
        ({"steps": 100}, {"steps": 1000, "evaluations": 3}, REST + 1000 * STEP + 3 * EVALUATION),
        ({"epochs": 5}, {"epochs": 20}, REST + 400 * STEP + 21 * EVALUATION),
        ({"epochs": 5}, {"steps": 30}, REST + 30 * STEP + 11 * EVALUATION),
        ({"steps": 100}, {"seconds": 7.0}, REST + 7 + 11 * EVALUATION),
        ({"steps": 100}, {"epochs": 3}, None),
    ],
)
def test_a_budget_scales_steps_and_evaluations(made, budget, seconds):
    found = estimate([cell(**budget)], [record(cell(**made), 100)])
    assert found.known == (seconds is not None)
    assert (found.low, found.middle, found.high) == pytest.approx([seconds or 0.0] * 3)


def test_the_width_is_that_of_similar_cells():
    records = [record(cell(seed=seed, steps=100), 100, factor) for seed, factor in enumerate((1, 2, 5))]
    found = estimate([cell(seed=8, steps=100), cell(seed=9, steps=100)], records)
    once = REST + 100 * STEP + 11 * EVALUATION
    assert (found.low, found.middle, found.high) == pytest.approx([2 * once, 4 * once, 10 * once])


def test_the_same_settings_go_before_others_of_the_method():
    records = [record(cell("sgd[lr=0.1]", steps=9), 9), record(cell("sgd[lr=0.2]", steps=9), 9, 3)]
    low, other = (estimate([cell(f"sgd[lr={rate}]", seed=1, steps=9)], records) for rate in (0.1, 0.7))
    assert low.low == low.high < other.middle < other.high


def test_what_is_not_similar_gives_no_basis():
    known = record(cell(steps=100), 100)
    unlike = [cell("adam", steps=100), cell(task="digits[hidden=[8]]", steps=100)]
    unlike += [one.model_copy(update=change) for one in [cell(steps=100)] for change in (
        {"backend": "torch"}, {"dtype": "float64"}, {"device": "cuda"},
    )]  # fmt: skip
    assert estimate(unlike, [known])[:2] == (5, 0)
    assert estimate([cell(steps=100)], [known.model_copy(update={"wall_seconds": None})]).known == 0


def test_cells_of_other_experiments_take_as_long_as_their_like():
    settings = {"suite": "action", "task": "tanh", "method": "euler", "backend": "numpy"}
    known = Record(cell=Action(**settings, segments=20), status="ok", wall_seconds=3.0)
    cells = [Action(**settings, segments=20, seed=1), Action(**settings, segments=40)]
    assert estimate(cells, [known]) == (2, 1, 1, 3.0, 3.0, 3.0)


def test_a_dry_run_says_what_is_known_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("run", "-t", "regression", "-m", "sgd", "--steps", "4", "--threads", "1", "--seeds")
    assert "time of" not in call(*words, 3, "-n").stdout
    done = call(*words, 1, "--no-memory", "-o", "runs/one/first")
    assert done.exit_code == 0, done.output
    (made,) = records_below([tmp_path / "runs"])
    assert made.wall_seconds > sum(made.figures["phase_seconds"].values()) > 0
    shown = call(*words, 3, "-n").stdout
    assert f"time of 3 of 3 cells: about {3 * made.wall_seconds:.2g} s, by similar cells; of 3 one" in shown
    write_record(tmp_path / "runs/one/first", made.model_copy(update={"cell": cell(task="regression", steps=4)}))
    shown = call(*words, 3, "-n", "-o", "runs/one/first").stdout
    assert "cells with records: 1; to run: 2" in shown
    assert "time of 2 of 2 cells" in shown
    assert json.loads(call(*words, 3, "-n", "--json").stdout)


def test_runs_are_found_below_a_folder_and_damaged_records_passed_over(tmp_path):
    for name in ("a", "b/c"):
        folder = tmp_path / name
        write_record(folder, record(cell(steps=100), 100))
        write_run_file(folder, {}, [], before=None, there=[])
    (tmp_path / "a" / "cells" / "x--0123456789.json").write_text("{")
    write_record(tmp_path / "no-run", record(cell(steps=100), 100))
    assert len(list(records_below([tmp_path, tmp_path / "a"]))) == 2
