"""Rows written as CSV and read again give the same rows, of every experiment; what is no row is named."""

import csv
import io
import json
import re
from functools import cache
from pathlib import Path

import pytest

from rbench.cost.cells import PartTime, StepCost, StepTime
from rbench.errors import DataError
from rbench.plugins import plugins
from rbench.report import render, render_tables
from rbench.report.layout import View
from rbench.report.load import load
from rbench.report.row_files import read_rows
from rbench.report.tables import KINDS
from rbench.report.tuning import settings
from rbench.run import Budget, Record, Training
from rbench.text import csv as csv_cell
from rbench.text import from_csv
from rbench.theory.action import Action, StatementCell
from rbench.theory.mms import Mms
from rbench.theory.stability import Stability

ROOT = Path(__file__).parents[1]
PUBLISHED = sorted(
    path for path in (ROOT / "results").glob("*.csv") if "status" in path.read_text().partition("\n")[0].split(",")
)
WHERE = {"backend": "numpy", "threads": 2}
HERE = {"cpu": "One, with a comma", "source of rbench": "ab", "source of rbench_numpy": "cd"}
THERE = HERE | {"cpu": "Two", "source of rbench": "ef"}


def ok(cell, environment=HERE, **figures):
    return Record(cell=cell, status="ok", figures={"device": "cpu"} | figures, environment=environment)


def training(seed=0, **settings):
    given = {"suite": "s", "task": "digits[hidden=[16,8]]", "method": "sgd[lr=0.1]", "budget": Budget(steps=2_000_000)}
    return Training(**WHERE, seed=seed, **{**given, **settings})


def swept(width, **others):
    given = {"suite": "scaling", "sweep": "n", "network": f"8-{width}", "batch_size": 2, "method": "sgd"}
    return StepCost(**{**WHERE, **given, **others})


FAILED = 'out of it:\nnot "finite", at step 3'
CASES = {
    "training": [
        ok(training(), steps=440, train_loss=1e-300, test_accuracy=0.1 + 0.2, n_parameters=10, dataset_sha256="1e5",
           target_reached=True, seconds_to_target=0.5, steps_to_target=44, dataset_official=False),
        ok(training(1, fixed=("weights", "order")), target_reached=False, peak_host_bytes=2**40),
        ok(training(2, budget=Budget(seconds=0.1, evaluations=3)), THERE, steps=7),
        Record(cell=training(3), status="diverged", reason=FAILED, memory_reason="no room", environment=HERE),
        Record(cell=training(4, device="cuda:1"), status="skipped", reason="=1+1", environment=THERE),
    ],
    "step-time": [
        ok(StepTime(suite="step-time", network="8-4", batch_size=2, method="sgd", **WHERE), rounds=100, floor=1.5,
           step_seconds=0.25, step_seconds_low=0.2, step_seconds_high=0.3, step_ratio_to_sgd=1, step_ratio_low=1,
           step_ratio_high=2),
        ok(PartTime(suite="step-time", part="gram", **WHERE), sizes="8 x 4", step_seconds=1e-4, operations=32),
    ],
    "step-cost": [
        *(ok(swept(width), environment, rounds=3, step_seconds=width / 10, peak_host_bytes=width, operations=2.5)
          for width in (4, 8, 16) for environment in (HERE, THERE)),
        ok(swept(4, backend="torch", threads=1), HERE | {"torch": "2"}, step_seconds=1.5),
        ok(StepCost(suite="memory", network="8-4", batch_size=2, method="sgd", **WHERE), THERE, peak_host_bytes=9),
    ],
    "action": [ok(Action(suite="action", task="tanh", method="euler", segments=20, **WHERE), gap=1e-9)],
    "statement": [
        ok(StatementCell(suite="action", task="tanh", method="hamilton", **WHERE), error=1.0, allowed=0.5),
        ok(StatementCell(suite="action", task="tanh", method="hamilton", seed=1, **WHERE), error=0.1, allowed=0.5),
    ],
    "stability": [ok(Stability(suite="stability", task="t", method="flow", n_data=8, **WHERE), bound=2)],
    "mms": [ok(Mms(suite="mms", task="t", method="adam", delta=0.1, **WHERE), reached=1, inner_iterations=4)],
}  # fmt: skip


def of_rows(records):
    return json.loads(render_tables(records, "json")), render_tables(records, "csv")


@pytest.mark.parametrize("name", CASES)
def test_rows_read_again_are_the_same_rows(name, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(render_tables(CASES[name], "csv"))
    found = read_rows(path)
    assert of_rows(found) == of_rows(CASES[name])
    assert [type(record.cell) for record in found] == [type(record.cell) for record in CASES[name]]
    assert (
        render_tables(found, "markdown").partition("\n\n")[0]
        == render_tables(CASES[name], "markdown").partition("\n\n")[0]
    )


def test_every_experiment_is_a_case():
    assert {type(record.cell) for records in CASES.values() for record in records} == {
        *plugins().registered("experiments").values()
    }


def test_several_experiments_in_one_file(tmp_path):
    path = tmp_path / "rows.csv"
    records = [record for name in CASES for record in CASES[name]]
    path.write_text(render_tables(records, "csv"))
    assert render_tables(read_rows(path), "csv") == render_tables(records, "csv")


@cache
def published(path):
    return read_rows(path)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_rows_are_read(path):
    with path.open(newline="") as file:
        before = list(csv.DictReader(file))
    after = list(csv.DictReader(io.StringIO(render_tables(published(path), "csv"))))
    assert len(after) == len(before) > 0
    for old, new in zip(before, after, strict=True):
        for name, text in old.items():
            assert text in ("", new[name]) or float(text) == float(new[name]), name


def figures_of(line):
    """The cells of a line of a table that hold a figure with its interval, without marks of the form."""
    cells = line.replace("\\", "").replace("**", "").strip("| ").split("|")
    return {"".join(cell.split()) for cell in cells if re.search(r"\d \(\d.*–.*\)$", cell.strip())}


def test_the_published_table_is_that_of_its_rows():
    table = render(published(ROOT / "results" / "reference.csv"), "markdown", View(columns=("all",)))
    ours = [figures_of(line) for line in table.splitlines()]
    notes = settings(published(ROOT / "results" / "reference.csv"))
    assert notes == ["Settings of suite reference: found by rbench tune."]  # which the rows do not say themselves
    page = (ROOT / "results" / "reference.md").read_text().splitlines()
    rows = [figures for line in page if line.startswith("|") and len(figures := figures_of(line)) > 3]
    assert len(rows) > 20
    for row in rows:
        assert any(row <= own for own in ours), row


@pytest.mark.parametrize("words", ["=1", "'=1", "''=1", "' =1", " =1", "'", "''", "it's", "'quoted'", "-1", "＝1", "a"])
def test_the_guard_against_formulas_is_taken_away(words):
    assert from_csv(csv_cell(words)) == words


def test_rows_beside_other_sources_are_told_apart(tmp_path):
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    for path in paths:
        path.write_text(render_tables([ok(training(), {}, test_loss=1.0)], "csv"))
    alone, _ = load(paths[:1])
    assert alone[0].environment == {}
    both, _ = load(paths)
    assert [record.environment for record in both] == [{"read from": str(path)} for path in paths]


HEAD = "suite,task,method,backend,seed,budget,status,test_loss"
ROW = "s,t,sgd,numpy,0,5 steps,ok,0.5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no rows"),
        (HEAD, "holds no rows"),
        ("a,b\n1,2", "line 1 is no header of rows"),
        (f"{HEAD},tset_accuracy\n{ROW},1", "line 1: rows of training have no column 'tset_accuracy'.*'test_accuracy'"),
        (f"{HEAD},suite\n{ROW},1", "line 1: the column 'suite' is there twice"),
        (f"{HEAD}\n{ROW}\n{ROW},1", "line 3 has 9 values, and its header has 8"),
        (f"{HEAD}\n{ROW.replace(',0,', ',x,')}", "line 2, seed: 'x': .*integer"),
        (f"{HEAD}\n{ROW.replace(',0,', ',-1,')}", "line 2, seed: '-1': .*greater"),
        (f"{HEAD}\n{ROW.replace(',t,', ',,')}", "line 2, task: None: Field required"),
        (f"{HEAD}\n{ROW.replace('5 steps', 'long')}", "line 2, budget: 'long'"),
        (f"{HEAD}\n{ROW.replace('5 steps', '2 evaluations')}", "line 2, budget: .*: give one budget"),
        (f"{HEAD}\n{ROW.replace('ok', 'fine')}", "line 2, status: 'fine': a cell ends ok"),
        (f"{HEAD}\n{ROW.replace('0.5', 'low')}", "line 2, test_loss: 'low': it is no finite number"),
        (f"{HEAD}\n{ROW.replace('0.5', 'nan')}", "line 2, test_loss: 'nan': it is no finite number"),
        (f"{HEAD}\n{ROW.replace('0.5', 'inf')}", "line 2, test_loss: 'inf': it is no finite number"),
        (f"{HEAD}\n{ROW.replace('0.5', '1e999')}", "line 2, test_loss: '1e999': it is no finite number"),
        (f'{HEAD}\n{ROW.replace(",t,", ",")},"a', "line 2: unexpected end of data"),
        ("suite,sweep,size,network,batch_size,method,backend,status\ns,n,7,8-4,2,sgd,numpy,ok", "line 2, size: '7'"),
        (f'{HEAD},reason\n{ROW},"one\n\nend"\n{ROW},\n{ROW.replace("ok", "fine")},', "line 6, status"),
    ],
)  # fmt: skip
def test_what_is_no_row_is_named(text, words, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_rows(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b,c\n1,2", b"=" * 200_000])
def test_a_file_that_is_no_csv_is_named(content, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        read_rows(path)


def test_another_file_is_no_run(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("{}")
    with pytest.raises(DataError, match=r"no directory of a run, no \.zip of a bundle and no \.csv of rows"):
        load([path])


def test_kinds_with_a_table_of_their_own_are_cases():
    assert {record.cell.fields for records in CASES.values() for record in records} >= {*KINDS}
