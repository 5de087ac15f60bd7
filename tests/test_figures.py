"""Figures are declared once: what is declared is in rows, tables and comparisons, written as it says."""

import json

import pytest

from helpers.command import python
from rbench.cost import COST_FIELDS
from rbench.errors import SpecError
from rbench.figures import STEP_COST, TRAINING, Figure, Unit, columns, compared, fields, judging
from rbench.run import FIELDS
from rbench.tasks import Target

KINDS = pytest.mark.parametrize("figures", [TRAINING, STEP_COST], ids=["training", "step cost"])

ADDED = """
import json, pathlib, sys
from rbench import figures

kilojoules = figures.Unit("kJ", 1e-3)
energy = figures.Figure("joules", "result", "energy", kilojoules, exact=True, compared="always", whole=True)
figures.TRAINING = (*figures.TRAINING, energy)

from rbench.report import comparison, render
from rbench.report.compare import compare
from rbench.run import Budget, Record, Training
from rbench.run.record import find, write_record

def record(joules):
    cell = Training(suite="s", task="t", method="sgd", backend="numpy", seed=0, budget=Budget(steps=1))
    return Record(cell=cell, status="ok", figures={"device": "cpu", "joules": joules})

folder = pathlib.Path(sys.argv[1])
write_record(folder, record(1.5))
damaged = len(find(folder).damaged)
write_record(folder, record(2000))
(kept,) = find(folder).records
(change,) = compare([kept], [record(4000)], [], 1.1)
(row,) = json.loads(render([kept], "json"))
print(json.dumps([damaged, row["joules"], comparison([kept])["energy kJ"].tolist(), change.figure, change.verdict]))
"""


def test_a_figure_that_is_declared_is_in_files_rows_tables_and_comparisons(tmp_path):
    assert json.loads(python(ADDED, tmp_path)) == [1, 2000, ["2.00"], "joules", "worse"]


@KINDS
def test_names_titles_and_directions(figures):
    assert len(set(fields(figures))) == len(fields(figures))
    assert len({figure.head for figure in columns(figures)}) == len(columns(figures))
    for figure in (*judging(figures), *compared(figures)):
        assert figure.better, f"{figure.name} is judged or compared, so it has a better direction"
        assert figure.title, f"{figure.name} is judged or compared, so it has a title"


def test_rows_hold_every_figure():
    assert set(fields(TRAINING)) < set(FIELDS)
    assert set(fields(STEP_COST)) < set(COST_FIELDS)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit(), 0.012345, "0.0123"),
        (Unit("ms", 1e3), 0.012345, "12.3"),
        (Unit("%", 100, 2), 0.98765, "98.77"),
        (Unit("steps", decimals=0), 7, "7"),
        (Unit("steps", decimals=0), float("inf"), "never"),
        (Unit("s"), float("inf"), "never"),
    ],
)
def test_a_unit_writes_numbers(unit, value, text):
    assert unit.write(value) == text


def test_shares_are_minimised_as_their_complement():
    share = Figure("share", "result", better="higher")
    assert (share.minimised(0.75), share.sign) == (0.25, -1)
    assert (Figure("loss", "result").minimised(0.75), Figure("loss", "result").sign) == (0.75, 1)


@pytest.mark.parametrize("figure", ["test_acuracy", "train_loss"])
def test_a_target_is_a_figure_that_judges_a_task(figure):
    with pytest.raises(SpecError, match=f"no figure to reach is called '{figure}'.*test_accuracy"):
        Target(figure, 0.9)
