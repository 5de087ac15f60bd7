"""Tables of records made by hand: spread over seeds, failures, order, and every form read back."""

import csv
import io
import json
import math

import pytest

from rbench.report import comparison, footnotes, render, rows, summary, written_notes
from rbench.report.footnotes import reasons
from rbench.run import FIELDS, Budget, Record, Training

FORMS = ["markdown", "latex", "csv", "json", "html"]
BUDGET = Budget(steps=5)


def record(method, seed=0, status="ok", reason=None, task="digits", budget=BUDGET, provenance=(), **figures):
    """A record as a worker leaves it, or for failures without figures as the executor does, which knows no device."""
    cell = Training(suite="s", task=task, method=method, backend="numpy", seed=seed, budget=budget)
    if figures:
        figures = {"device": "cpu", "dataset_sha256": "ab" * 32, "dataset_official": None} | figures
    return Record(cell=cell, status=status, reason=reason, figures=figures, provenance=dict(provenance))


def methods(records):
    return list(comparison(records)["method"])


def line(records, method="sgd"):
    frame = comparison(records)
    return dict(frame[frame["method"] == method].iloc[0])


SPREAD = [record("sgd", seed, test_accuracy=value) for seed, value in enumerate([0.9, 0.95, 0.5, 0.96])]


def test_figures_are_medians_with_their_intervals():
    (one,) = summary(rows(SPREAD)).to_dict("records")
    assert (one["seeds"], one["status"], one["reason"]) == (4, "ok", None)
    assert [one[f"test_accuracy{end}"] for end in ("", "_low", "_high")] == pytest.approx([0.925, 0.5, 0.96])
    assert math.isnan(one["test_loss"])
    assert line(SPREAD)["test accuracy %"] == "92.50 (50.00–96.00)"
    assert line(SPREAD[:1])["test accuracy %"] == "90.00"
    note, marks, *_ = footnotes(SPREAD)
    assert note.startswith("Figures are medians over 4 seeds (95 % percentile bootstrap interval of the median: of 4 ")
    assert "their range, which holds the true median with probability 87.5 %" in note
    assert marks.startswith("* is the best")
    assert footnotes(SPREAD[:1])[0] == "One seed: it shows no noise, so no difference is marked."


def test_the_interval_of_many_seeds_is_not_their_range():
    records = [record("sgd", seed, test_loss=value) for seed, value in enumerate([1, 2, 3, 4, 5, 6, 7, 8, 90])]
    assert line(records)["test loss"] == "5.00 (2.00–8.00)"
    assert "range" not in footnotes(records)[0]


def test_a_target_missed_at_some_seeds_has_an_infinite_end():
    figures = [{"seconds_to_target": 1.0}, {"seconds_to_target": 2.0}, {"target_reached": False}]
    records = [record("sgd", seed, **known) for seed, known in enumerate(figures)]
    assert line(records)["to target s"] == "2.00 (1.00–never)"


LOSSES = {"a": [1.0, 1.1, 1.3], "b": [1.02, 1.09, 1.31], "c": [2.0, 2.1, 2.5]}


def losses(task="digits", scale=1.0, noise=0.0):
    """Records of three methods at three seeds; noise takes the worst of them, c, below and above the others."""
    shaken = LOSSES | {"c": [value * (1 + noise * (seed - 1)) for seed, value in enumerate(LOSSES["c"])]}
    return [
        record(method, seed, task=task, test_loss=scale * value)
        for method, values in shaken.items()
        for seed, value in enumerate(values)
    ]


def marked(records):
    frame = comparison(records)
    return dict(zip(frame["method"], frame["test loss"].str.extract(r"^([*~]?)")[0], strict=True))


def test_marks_tell_the_best_and_what_lies_within_noise():
    assert list(comparison(losses())["test loss"]) == ["*1.09 (1.02–1.31)", "~1.10 (1.00–1.30)", "2.10 (2.00–2.50)"]
    assert marked(losses()) == marked(losses()[::-1]) == {"b": "*", "a": "~", "c": ""}


def test_a_difference_that_noise_hides_is_marked():
    assert marked(losses(noise=0.8))["c"] == "~"


def test_nothing_is_marked_for_one_seed_or_one_method():
    assert set(marked([r for r in losses() if r.cell.seed == 0]).values()) == {""}
    assert marked([r for r in losses() if r.cell.method == "a"]) == {"a": ""}


def test_methods_are_marked_among_those_of_their_task():
    found = comparison([*losses(), *losses(task="other", scale=100.0)])
    assert list(found["test loss"].str[0]) == ["*", "~", "2", "*", "~", "2"]


def test_every_form_shows_the_marks():
    for form, mark in {"markdown": "~1.10", "html": "~1.10", "latex": r"\textasciitilde $1.10"}.items():
        assert mark in render(losses(), form)


def test_seeds_that_failed_do_not_count_but_show():
    failed = record("sgd", 9, "diverged", "the loss is nan", n_parameters=3)
    (one,) = summary(rows([*SPREAD[:2], failed])).to_dict("records")
    assert (one["seeds"], one["status"], one["reason"]) == (3, "diverged 1 of 3", "the loss is nan")
    assert one["test_accuracy"] == pytest.approx(0.925)
    assert line([failed, *SPREAD[:2]])["status"] == "diverged 1 of 3: the loss is nan"


@pytest.mark.parametrize("status", ["timeout", "crashed", "skipped", "out_of_memory"])
def test_a_seed_without_any_figure_stays_with_its_method(status):
    (one,) = summary(rows([*SPREAD[:2], record("sgd", 9, status, "why")])).to_dict("records")
    assert (one["seeds"], one["status"], one["reason"]) == (3, f"{status} 1 of 3", "why")
    assert one["device"] == "cpu"


def test_failures_come_last_with_their_reason():
    records = [
        record("naive", status="skipped", reason="would need 9 GiB"),
        record("kfac", status="crashed", reason="boom"),
        record("sgd", test_accuracy=0.1),
        record("adam", test_accuracy=0.2),
    ]
    assert methods(records) == ["adam", "sgd", "kfac", "naive"]
    row = line(records, "naive")
    assert row["status"] == "skipped: would need 9 GiB"
    assert row["test accuracy %"] == "–"
    assert line(records)["status"] == "ok"


@pytest.mark.parametrize(
    ("figure", "values", "order"),
    [
        ("test_accuracy", (0.5, 0.9, 0.7), ["b", "c", "a"]),
        ("test_squared_error", (0.5, 0.9, 0.7), ["a", "c", "b"]),
        ("test_loss", (2.0, 1e-9, 1e9), ["b", "a", "c"]),
        ("test_accuracy", (0.5, 0.5, 0.5), ["a", "b", "c"]),
    ],
)
def test_the_best_comes_first(figure, values, order):
    records = [record(name, **{figure: value}) for name, value in zip("abc", values, strict=True)]
    assert methods(records) == methods(records[::-1]) == order


def test_tasks_keep_their_order_and_are_ranked_apart():
    made = [("z", "a", 0.1), ("z", "b", 0.2), ("y", "a", 0.9), ("y", "b", 0.8)]
    frame = comparison([record(method, task=task, test_accuracy=value) for task, method, value in made])
    assert list(zip(frame["task"], frame["method"], strict=True)) == [("z", "b"), ("z", "a"), ("y", "a"), ("y", "b")]


def test_runs_of_another_budget_are_not_taken_for_seeds():
    records = [record("sgd", test_accuracy=0.5), record("sgd", budget=Budget(epochs=9), test_accuracy=0.9)]
    assert list(comparison(records)["test accuracy %"]) == ["90.00", "50.00"]
    assert any("5 steps" in note and "9 epochs" in note for note in footnotes(records))


def test_columns_that_say_nothing_are_left_out():
    shown = comparison([record("sgd", test_loss=1.0, step_seconds=0.002), record("adam", test_loss=2.0)])
    assert list(shown.columns) == ["task", "method", "test loss", "step ms"]
    assert list(shown["step ms"]) == ["2.00", "–"]


@pytest.mark.parametrize(
    ("figures", "title", "text"),
    [
        ({"target_reached": False}, "to target s", "never"),
        ({"seconds_to_target": 0.25}, "to target s", "0.250"),
        ({"step_seconds": 0.0123456}, "step ms", "12.3"),
        ({"step_ratio_to_sgd": 1.5}, "step / SGD", "1.50"),
        ({"peak_host_bytes": 3 * 2**20}, "peak host MiB", "3.00"),
        ({"test_loss": 123456.0}, "test loss", "1.23e+05"),
        ({"test_loss": 0.0}, "test loss", "0.00"),
        ({"test_loss": 1e-9}, "test loss", "1.00e-09"),
        ({"test_loss": 999.9}, "test loss", "1000"),
    ],
)
def test_how_figures_are_written(figures, title, text):
    assert line([record("sgd", **figures)])[title] == text


AWKWARD = [
    record("sgd", 0, test_accuracy=0.5, test_loss=0.1, target_reached=False, steps=5),
    record("sgd[lr=0.3]", 0, test_accuracy=0.6, test_loss=float("nan"), compile_seconds=None),
    record("kfac", 0, "crashed", 'ValueError: a | b & c_d <e> 50% "f", and\nmore'),
]


class TestForms:
    def test_json_is_strict_and_has_the_fields(self):
        found = json.loads(render(AWKWARD, "json"), parse_constant=pytest.fail)
        assert [tuple(row) for row in found] == [FIELDS] * 3
        assert [row["method"] for row in found] == ["sgd", "sgd[lr=0.3]", "kfac"]
        assert (found[0]["target_reached"], found[0]["seconds_to_target"]) == (False, None)
        assert found[0]["test_accuracy"] == 0.5
        assert found[1]["test_loss"] is None
        assert found[2]["reason"] == AWKWARD[2].reason

    def test_csv(self):
        found = list(csv.DictReader(io.StringIO(render(AWKWARD, "csv"))))
        assert tuple(found[0]) == FIELDS
        assert [row["method"] for row in found] == ["sgd", "sgd[lr=0.3]", "kfac"]
        assert float(found[0]["seconds_to_target"]) == math.inf
        assert float(found[0]["test_accuracy"]) == 0.5
        assert found[0]["steps"] in ("5", "5.0")
        assert found[2]["reason"] == AWKWARD[2].reason

    def test_markdown(self):
        """One line a row and one bar between two cells, whatever a reason holds."""
        title, _, *lines = render(AWKWARD, "markdown").splitlines()
        assert (title, len(lines)) == ("**digits**", 2 + 3)
        parts = [text.replace("\\|", "").strip("|").split("|") for text in lines]
        assert len({len(part) for part in parts}) == 1
        assert [part[0].strip() for part in parts[2:]] == ["sgd, lr=0.3", "sgd", "kfac"]
        assert "crashed: ValueError: a \\| b & c_d <e> 50%…" in lines[-1].replace("\\<", "<").replace("&lt;", "<")
        assert AWKWARD[2].reason in reasons(AWKWARD)[0]

    def test_latex(self):
        text = render(AWKWARD, "latex")
        body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().removesuffix(r"\\").split(r"\\")
        assert [row.replace(r"\&", "").count("&") for row in body] == [body[0].count("&")] * 3
        assert r"c\_d" in text
        assert r"50\%" in written_notes(reasons(AWKWARD), "latex")
        assert r"accuracy \%" in text
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1

    def test_html(self):
        text = render(AWKWARD, "html")
        assert text.count("<tr") == 1 + 3
        assert "&lt;e&gt;" in text
        assert "<e>" not in text

    @pytest.mark.parametrize("form", FORMS)
    def test_no_records(self, form):
        assert isinstance(render([], form), str)
        assert footnotes([]) == ["No records."]


@pytest.mark.parametrize(
    ("official", "words"),
    [(False, "NOT the official data"), (True, "official"), (None, "made, shipped with a library, or a user's own")],
)
def test_footnotes_tell_what_the_data_are(official, words):
    machine = {"cpu": "Abacus", "rbench": "9.9", "libraries": {"numpy": "2.0"}}
    records = [record("sgd", task="mnist[hidden=[8]]", provenance=machine, test_loss=1.0, dataset_official=official)]
    notes = footnotes([*records, record("adam", status="timeout", reason="late")])
    assert any(note.startswith(f"Data of mnist: {words}, sha256 {'ab' * 8}") for note in notes)
    assert "Abacus, rbench 9.9, NumPy 2.0." in notes
