"""Charts of records made by hand: lines, exponents and the plot; and the table of an experiment without its own."""

import json
import math
from dataclasses import replace
from itertools import product
from typing import ClassVar, Literal

import numpy as np
import pytest

from helpers.command import call
from rbench.charts import Chart
from rbench.errors import DataError
from rbench.experiment import Cell
from rbench.figures import Figure, fields
from rbench.plugins import plugins
from rbench.report import charts
from rbench.report.kinds import pictures
from rbench.report.other import comparison, render_other
from rbench.report.styles import dashes, styles
from rbench.report.tables import render_tables
from rbench.run import Budget, Record, Training

FIGURES = (Figure("cost", "result", "cost"), Figure("bound", "result", "bound"), Figure("hidden", "result"))
FIELDS = fields(FIGURES)


class Growth(Cell):
    fields: ClassVar = ("suite", "task", "method", "size", "seed", "backend", "status", "reason", "verdict", *FIELDS)
    figures: ClassVar = FIGURES
    charts: ClassVar = (
        Chart("cost", "size", ("cost", "bound"), decades=1),
        Chart("plain", "size", ("cost",), logarithmic=""),
    )
    experiment: Literal["growth-of-a-test"] = "growth-of-a-test"
    task: str
    method: str
    size: int
    seed: int = 0

    def run(self, backend, outcome, report, limits):
        raise NotImplementedError

    def row(self, figures, history):
        return super().row(figures, history) | {"verdict": "fine"}


def record(size, cost, bound=None, method="a", seed=0, task="t", status="ok", **others):
    cell = Growth(suite="s", task=task, method=method, backend="numpy", size=size, seed=seed)
    figures = {"cost": cost, "bound": bound, "hidden": 1.0} if status == "ok" else {}
    return Record(cell=cell, status=status, figures=figures, **others)


def cubes(**others):
    return [record(size, 2.0 * size**3, size**2, **others) for size in (10, 20, 40, 80)]


def test_a_line_is_the_median_over_seeds_with_their_range():
    runs = [record(size, size * factor, seed=seed) for seed, factor in enumerate((1, 5, 2)) for size in (20, 10)]
    (line,) = charts.lines(Growth.charts[0], runs)
    assert list(line.points.index) == [10, 20]
    np.testing.assert_array_equal(line.points[["median", "low", "high"]], [[20, 10, 50], [40, 20, 100]])
    assert (line.panel, line.label, line.figure) == ("t", "a", "cost")


def test_what_has_no_logarithm_or_did_not_end_ok_has_no_point():
    runs = [record(10, 0.0), record(20, -1.0), record(40, 4.0), record(80, None, status="crashed", reason="no")]
    (line,) = charts.lines(Growth.charts[0], runs)
    assert list(line.points.index) == [40]
    (line,) = charts.lines(Growth.charts[1], runs)
    assert list(line.points.index) == [10, 20, 40]


def test_rows_that_missed_have_no_point():
    chart = replace(Growth.charts[0], complete="bound")
    (line, _) = charts.lines(chart, [record(10, 1.0, 1.0), record(20, 2.0, 0.9), record(40, 4.0, None)])
    assert list(line.points.index) == [10]


def test_an_exponent_is_over_the_decades_that_the_chart_states():
    runs = [record(size, float(max(size, 100) ** 2)) for size in (1, 10, 20, 50, 100, 200, 500, 1000)]
    last, every = (
        charts.lines(replace(Growth.charts[0], decades=decades), runs)[0].exponent for decades in (1, math.inf)
    )
    np.testing.assert_allclose(last, 2, rtol=1e-12)
    assert every[0] < 1.5


def test_exponents_are_fitted_for_every_line():
    found = charts.exponents([*cubes(), *cubes(method="b")])
    assert list(found["method"]) == ["a", "a", "b", "b"]
    assert list(found["figure"]) == ["cost", "bound"] * 2
    assert list(found["exponent"]) == ["3.00 (3.00 to 3.00)", "2.00 (2.00 to 2.00)"] * 2
    assert charts.exponents(cubes()[:2]).empty


def test_a_plot_has_a_panel_for_each_task_and_a_dash_for_each_figure():
    runs = [*cubes(), *cubes(method="b"), *cubes(task="u_1$"), *cubes(task="v")]
    (picture,) = pictures("cost", runs)
    assert [panel.title for panel in picture.panels] == ["t", "u_1$", "v"]
    first = picture.panels[0].traces
    assert [(trace.label, trace.figure) for trace in first] == list(product("ab", ("cost", "bound")))
    np.testing.assert_array_equal(first[0].y, [2000, 16000, 128000, 1024000])
    assert list(styles([picture])) == ["", "a", "b"]
    assert dashes([picture]) == {"cost": "solid", "bound": "dash"}
    assert picture.panels[0].log == "xy"
    (plain,) = pictures("plain", runs)
    assert (plain.panels[0].log, dashes([plain])) == ("", {})


def test_a_backend_tells_lines_apart_where_there_are_two():
    other = [one.model_copy(update={"cell": one.cell.model_copy(update={"backend": "torch"})}) for one in cubes()]
    found = charts.lines(Growth.charts[1], [*cubes(), *other])
    assert [line.label for line in found] == ["a numpy", "a torch"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match=r"no kind of plot is called 'bars'; there are: curves, .*, cost, plain"):
        pictures("bars", cubes())
    with pytest.raises(DataError, match=r"no cell that ended ok has cost or bound; of these .* drawn: nothing"):
        pictures("cost", [record(10, None, status="crashed", reason="no")])
    with pytest.raises(DataError, match=r"no curves: .* of these records can be drawn: cost, plain"):
        pictures("curves", cubes())


def test_its_table_has_a_line_for_all_seeds():
    runs = [record(10, cost, seed=seed) for seed, cost in enumerate((1.0, 3.0, 2.0))]
    shown = comparison([*runs, record(20, 5.0)])
    assert list(shown) == ["size", "cost", "verdict"]  # one task, one method; no bound; `hidden` has no title
    assert list(shown["cost"]) == ["2.00 (1.00–3.00)", "5.00"]
    failed = comparison([*runs, record(10, None, seed=3, status="skipped", reason="void")])
    assert list(failed["status"]) == ["skipped 1 of 4: void"]


def test_its_table_states_exponents():
    text = render_other(cubes(), "markdown")
    assert "3.00 (3.00 to 3.00)" in text
    assert render_other(cubes(), "latex").count("tabular") == 4


@pytest.mark.parametrize("cell", plugins().registered("experiments").values(), ids=lambda cell: cell.name)
def test_an_experiments_figures_and_charts_are_told_apart(cell):
    heads = [figure.head for figure in cell.figures if figure.title]
    kinds = [chart.kind for chart in cell.charts]
    assert len({*heads}) == len(heads)
    assert len({*kinds}) == len(kinds)
    known = {*cell.fields, *cell.model_fields}
    assert {name for chart in cell.charts for name in (chart.x, *chart.y, *chart.lines, *chart.panels)} <= known


def test_rows_of_two_experiments_have_the_same_fields_in_json():
    training = Record(
        cell=Training(suite="s", task="t", method="m", backend="numpy", budget=Budget(steps=1)), status="ok"
    )
    first, second = json.loads(render_tables([record(10, 1.0), training], "json"))
    assert list(first) == list(second)
    assert (first["cost"], second["cost"], first["steps"]) == (1.0, None, None)


def test_the_command_draws_and_names_the_kinds(tmp_path):
    pytest.importorskip("matplotlib")
    directory, picture = tmp_path / "run", tmp_path / "gap.png"
    done = call("run", "action", "-t", "tanh[metric=none,mass=1]", "-m", "euler", "-o", str(directory))
    assert done.exit_code == 0, done.stderr
    done = call("plot", str(directory), "-o", str(picture))
    assert done.exit_code == 2
    assert "several plots can be drawn of these runs; give one: --kind gap or --kind hamiltonian" in done.stderr
    assert call("plot", str(directory), "--kind", "gap", "-o", str(picture)).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
