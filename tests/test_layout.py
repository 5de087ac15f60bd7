"""What tables show: columns, rows, parts, order and captions by request; and a terminal's, which fit its width."""

import pytest
from rich.cells import cell_len

from helpers.command import call
from helpers.faults import write_run
from helpers.tables import LONG, METHODS, RECORDS, record
from rbench.errors import RbenchError
from rbench.report import render_tables
from rbench.report.layout import View
from rbench.report.value import Value, aligned, shortened
from rbench.run import Budget


def shown(form="markdown", records=RECORDS, **asked):
    return render_tables(records, form, View(**asked))


def replaced(one, name, value):
    """A record whose cell has another value."""
    return one.model_copy(update={"cell": one.cell.model_copy(update={name: value})})


def heads(text):
    """Headings of the first Markdown table."""
    return [part.strip() for part in next(line for line in text.splitlines() if line[0:1] == "|").strip("|").split("|")]


def first_column(text):
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|:")]
    return [line.strip("|").split("|")[0].strip() for line in lines]


class TestDefault:
    def test_columns_that_answer_the_question(self):
        assert heads(shown()) == [
            "method", "test accuracy %", "to target s", "step / SGD", "peak host MiB", "train s", "status",
        ]  # fmt: skip

    def test_a_table_for_each_task_and_whole_specs_below(self):
        text = shown()
        assert "**digits**" in text
        assert "**mnist**" in text
        assert "- kfac: kfac[lr=0.3,damping=1]" in text
        assert "- digits: digits[hidden=[16]]" in text
        assert "riemannian[" not in text.partition("- riemannian")[0]

    def test_a_failure_has_a_few_words_and_its_whole_reason_below(self):
        text = shown()
        assert "| skipped: would need 451.4 GiB for solver…" in text
        assert f"- naive ggn on digits: skipped: {LONG}" in text
        assert "All 18 cells ended ok." in shown(records=RECORDS[:-3])


class TestAsked:
    def test_columns_by_name_or_heading_and_a_failure_always(self):
        names = ("step_ratio_to_sgd", "Test Accuracy %", "spec")
        assert heads(shown(columns=names)) == ["method", "step / SGD", "test accuracy %", "spec", "status"]
        assert {"train loss", "threads", "spec", "task"} <= {*heads(shown(columns=("all",), group="none"))}

    @pytest.mark.parametrize("asked", [{"columns": ("tset_accuracy",)}, {"sort": "tset_accuracy"}])
    def test_an_unknown_column_is_named_with_one_that_is_near(self, asked):
        with pytest.raises(RbenchError, match=r"no column is called 'tset_accuracy' \(did you mean 'test_accuracy'"):
            shown(**asked)

    def test_rows_of_some_methods_and_tasks_and_what_is_left_out_is_said(self):
        text = shown(methods=("kfac", "GGN_MC"), tasks=("mnist",))
        assert first_column(text)[1:] == ["kfac", "riemannian ggn_mc"]
        assert "- Only methods with kfac or GGN_MC: 2 of 4. Marks are among those that are shown." in text
        assert "- Only tasks with mnist: 1 of 2." in text

    @pytest.mark.parametrize(("kind", "text"), [("methods", "kfacc"), ("tasks", "mnistt")])
    def test_a_text_that_fits_nothing_is_refused(self, kind, text):
        with pytest.raises(RbenchError, match=rf"no {kind[:-1]} is called '{text}' \(did you mean"):
            shown(**{kind: (text,)})

    @pytest.mark.parametrize(
        ("column", "order"),
        [
            ("test_accuracy", ["kfac", "sgd", "riemannian ggn_mc", "naive ggn"]),
            ("train_seconds", ["riemannian ggn_mc", "sgd", "kfac", "naive ggn"]),
            ("method", ["kfac", "naive ggn", "riemannian ggn_mc", "sgd"]),
        ],
    )
    def test_rows_are_sorted_the_best_first_and_failures_stay(self, column, order):
        assert first_column(shown(sort=column, tasks=("digits",)))[1:] == order

    def test_groups(self):
        both = [*RECORDS, *(record(m, backend="torch", test_accuracy=0.5) for m in METHODS)]
        assert shown(records=both, group="none").count("\n|:--") == 1
        text = shown(records=both, group="backend")
        assert text.count("\n|:--") == 2
        assert "**torch, seeds 1**" in text
        assert heads(text)[:2] == ["task", "method"]

    def test_figures_as_rows(self):
        text = shown(transposed=True, tasks=("mnist",))
        assert heads(text)[0] == "figure"
        assert {"kfac", "sgd"} < {*heads(text)}
        assert "test accuracy %" in first_column(text)

    def test_what_is_the_same_in_each_part_is_in_its_title(self):
        found = [replaced(one, "budget", Budget(epochs=9)) if one.training.task == "mnist" else one for one in RECORDS]
        text = shown(records=found)
        assert "**mnist, budget 9 epochs**" in text
        assert "budget" not in heads(text)
        assert "budget" in heads(shown(records=found, columns=("budget", "test_accuracy")))

    def test_values_of_a_column_stand_beside_each_other(self):
        both = [*RECORDS, record("kfac[lr=0.3,damping=1]", backend="torch", test_accuracy=0.5)]
        names = ("test_accuracy", "step_ratio_to_sgd")
        text = shown(records=both, across="backend", columns=names, tasks=("digits",), intervals=False)
        figures = [f"{name} {figure}" for name in ("numpy", "torch") for figure in ("test accuracy %", "step / SGD")]
        assert heads(text) == ["method", *figures, "numpy status", "torch status"]
        (line,) = (line for line in text.splitlines() if line.startswith("| kfac"))
        assert [part.strip(" \\*~") for part in line.strip("|").split("|")] == [
            "kfac", "96.00", "2.00", "50.00", "2.00", "ok", "ok",
        ]  # fmt: skip
        assert len(first_column(text)) == 2 + len(METHODS)

    def test_a_figure_that_is_the_same_for_all_values_stands_once(self):
        both = [*RECORDS[:-3], *(replaced(one, "backend", "torch") for one in RECORDS[:-3])]
        text = shown(records=both, across="backend", columns=("test_accuracy",))
        assert heads(text) == ["method", "test accuracy %"]

    def test_a_table_across_tasks_has_no_column_that_a_task_settles(self):
        found = [one for one in RECORDS[:-3] if one.training.task != "mnist"]
        found += [record(method, task="mnist", test_accuracy=0.5) for method in METHODS]
        text = shown(records=found, group="none", across="task", columns=("test_accuracy",), methods=("kfac", "sgd"))
        assert heads(text) == ["method", "digits test accuracy %", "mnist test accuracy %"]

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"across": "bakend"}, "did you mean 'backend'"),
            ({"across": "test_accuracy"}, "values of 'test accuracy %' cannot stand beside each other; choose of: "),
        ],
    )
    def test_what_cannot_stand_beside_is_refused(self, asked, message):
        with pytest.raises(RbenchError, match=message):
            shown(**asked)

    def test_figures_without_intervals_and_tables_without_notes(self):
        full, bare = shown(tasks=("digits",)), shown(tasks=("digits",), intervals=False, notes=False)
        assert "–0." in full or "–9" in full
        assert not any("–" in line.replace("| –", "").replace(" –", "") for line in bare.splitlines())
        assert bare.splitlines()[-1].startswith("|")
        assert "*" in bare.partition("|")[2]

    @pytest.mark.parametrize("form", ["markdown", "html", "latex", "terminal"])
    def test_a_caption_has_its_provenance_once(self, form):
        text = shown(form, caption="All that ran")
        first = text.partition("\n\n")[0]
        for words in (
            "All that ran.",
            "Seeds: 0–2.",
            "Threads: 1.",
            "Abacus, rbench 9.9, NumPy 2.0.",
            "Data of digits",
        ):
            assert words in first
            assert text.count(words) == 1


class TestTerminal:
    @pytest.mark.parametrize("width", [40, 60, 80, 100, 160, 400])
    def test_it_fits_and_says_what_is_left_out(self, width, monkeypatch):
        monkeypatch.setenv("COLUMNS", str(width))
        text = shown("terminal")
        tables = text.partition("Not shown")[0].partition("naive ggn on")[0]
        assert max(map(cell_len, tables.splitlines())) <= width
        assert "accuracy" in tables
        line = next((line for line in text.splitlines() if line.startswith("Not shown")), "")
        for name in ("train loss", "step ms"):
            assert (name in line) != all(word in tables for word in name.split()) or width < 100
        assert bool(line) == (width < 160)
        for label in ("sgd", "kfac", "riemannian", "naive", "skipped:"):
            assert label in tables

    def test_decimal_points_stand_below_each_other(self):
        values = [Value("1.5", mark="*"), Value("10.25", "9.00", "11.0"), Value("3"), "–"]
        texts = aligned(values)
        assert texts == ["*1.5             ", "10.25 (9.00–11.0)", " 3               ", "                –"]

    def test_a_reason_is_cut_between_words(self):
        assert shortened("a short one") == "a short one"
        assert shortened(LONG) == "would need 451.4 GiB for solver…"
        assert shortened("x" * 99) == "x" * 31 + "…"


class TestCommand:
    def test_options(self, tmp_path):
        write_run(tmp_path / "run", RECORDS)
        words = ("--columns", "spec,train_seconds", "-m", "sgd", "--task", "mnist", "--sort", "train_seconds")
        done = call("table", tmp_path / "run", *words)
        assert (done.exit_code, done.stderr) == (0, "")
        assert heads(done.stdout) == ["method", "spec", "train s"]
        done = call("table", tmp_path / "run", "-m", "sgd", "--format", "csv")
        assert (done.exit_code, done.stdout.count("sgd[lr=0.1]"), "kfac" in done.stdout) == (0, 6, False)
        assert "Only methods with sgd: 1 of 4." in done.stderr

    @pytest.mark.parametrize("words", [("--format", "csv"), ("--ranking",)])
    @pytest.mark.parametrize("asked", [("--columns", "spec"), ("--transpose",), ("--caption", "x")])
    def test_what_has_no_layout_is_refused(self, words, asked, tmp_path):
        done = call("table", tmp_path, *words, *asked)
        assert done.exit_code == 2
        assert f"{asked[0]} lays out the comparison" in done.stderr
