"""Sweeps and the memory suite: fits of known laws, crossings of known lines, and runs of tiny series."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from helpers.command import call
from rbench.cost import COST_FIELDS, CostSuite, Sweep
from rbench.errors import SpecError
from rbench.plugins import plugins
from rbench.report import cost
from rbench.report.scaling import Series, crossover, exponent, paper_operations, series_of
from rbench.run import Request, isolate, memory_pass
from rbench.run.child_process import Answer

SIZES = 10.0 ** np.arange(0, 4.1, 0.25)


def row(size, seconds=None, *, sweep="n", method="riemannian[solver=gram]", network="4-3-2", memory=None, **others):
    figures = {"size": size, "sweep": sweep, "method": method, "network": network, "step_seconds": seconds}
    place = {"backend": "numpy", "device": "cpu", "dtype": "float32", "status": "ok" if seconds else "skipped"}
    return dict.fromkeys(COST_FIELDS) | figures | {"peak_host_bytes": memory} | place | others


def line(label, values, sizes=SIZES):
    return Series("n", "numpy", label, [row(int(size), value) for size, value in zip(sizes, values, strict=True)])


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5, 3.0])
def test_the_exponent_of_a_power_is_the_power(power):
    found = exponent(SIZES, 3e-4 * SIZES**power)
    assert found == pytest.approx((power, power, power), abs=1e-6)


def test_only_the_largest_decade_counts():
    values = np.where(SIZES < 999, 1.0, (SIZES / 1000) ** 3)
    power, _, _ = exponent(SIZES, values)
    assert power == pytest.approx(3)


def test_the_interval_covers_the_power_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        _, low, high = exponent(SIZES, SIZES**1.5 * np.exp(0.1 * rng.normal(size=len(SIZES))))
        covered += low <= 1.5 <= high
    # 950 are expected; three standard deviations of a binomial to either side.
    assert covered == pytest.approx(950, abs=3 * (1000 * 0.95 * 0.05) ** 0.5)


def test_two_points_have_no_exponent():
    assert exponent([10, 100], [1, 2]) is None
    assert exponent([], []) is None


def test_lines_cross_where_they_are_equal():
    linear, cubic = line("linear", 50.0**2 * SIZES), line("cubic", SIZES**3)
    found = crossover(linear, cubic, "step_seconds")
    assert found == (pytest.approx(50, rel=0.02), False)
    assert crossover(cubic, linear, "step_seconds") is None
    assert crossover(line("below", SIZES), line("above", 2 * SIZES), "step_seconds") == (1, True)


def test_series_without_a_size_in_common_do_not_cross():
    low, high = line("low", SIZES[:5], SIZES[:5]), line("high", SIZES[8:], SIZES[8:])
    assert crossover(low, high, "step_seconds") is None
    assert crossover(high, low, "step_seconds") is None


def test_what_the_paper_states():
    # Layers of 3 (4 + 1) and 2 (3 + 1) parameters, and 2 outputs.
    gram = row(23, 1.0, network="4-3-2")
    assert paper_operations(gram) == 15 * 4 + 8 + 8 * 4 + 8
    for solver in ("inverse", "dense"):
        naive = gram | {"method": f"riemannian[solver={solver}]"}
        assert paper_operations(naive) == 15**3 + 8**3


def test_series_are_named_by_what_tells_them_apart():
    specs = [
        "riemannian[mass=1,solver=gram]",
        "riemannian[mass=1,batch=mean,solver=gram]",
        "riemannian[mass=1,solver=rows]",
    ]
    found = series_of([row(n, 1.0, method=spec) for spec in specs for n in (2, 1)])
    assert [series.label for series in found] == ["gram", "gram, mean", "rows"]
    assert [one["size"] for one in found[0].rows] == [1, 2]


def test_a_table_says_where_a_series_ended_and_why():
    rows = [row(1, 0.5), row(10, 1.0), row(100, reason="too long"), row(1000, reason="too long")]
    (note,) = cost.endings(rows)
    assert note == "riemannian, numpy cpu float32: no figure from n = 100 on: skipped: too long."
    (table,) = cost.sweep_tables(rows)
    assert list(table.iloc[:, -1]) == ["500 ms", "1000 ms", "–", "–"]


def test_two_dtypes_of_a_backend_stay_apart():
    rows = [row(n, 0.5 * k, dtype=dtype) for k, dtype in ((1, "float32"), (2, "float64")) for n in (1, 10)]
    tables = cost.sweep_tables(rows)
    assert [list(table.iloc[:, -1]) for table in tables] == [["500 ms"] * 2, ["1000 ms"] * 2]
    assert [series.backend for series in series_of(rows)] == ["numpy cpu float32", "numpy cpu float64"]


TINY = CostSuite(
    name="scaling",
    summary="tiny",
    methods=("riemannian[solver=gram]", "riemannian[solver=inverse]"),
    sweeps=(Sweep("n", ("4-4-3", "8-8-3", "16-16-3"), (4,)), Sweep("batch", ("4-4-3",), (2, 4, 8))),
    threads=1,
)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A tiny suite in place of the real one; returns a function that runs it with words, and its directory."""
    suites, folder = plugins().registered("suites"), tmp_path / "run"

    def use(**changes):
        monkeypatch.setitem(suites, "scaling", replace(TINY, **changes))

    def run(*words):
        return call("run", "scaling", "-o", folder, *words)

    use()
    return SimpleNamespace(run=run, folder=folder, use=use)


def rows_of(folder):
    return json.loads(call("table", folder, "--format", "json").stdout)


def test_a_run_measures_time_and_memory_of_every_size(tiny):
    pytest.importorskip("matplotlib")
    done = tiny.run()
    assert done.exit_code == 0, done.output
    rows = rows_of(tiny.folder)
    assert [one["size"] for one in rows if one["sweep"] == "n"] == [35, 99, 323] * 2
    assert [one["size"] for one in rows if one["sweep"] == "batch"] == [2, 4, 8] * 2
    assert all(one["step_seconds"] > 0 and one["peak_host_bytes"] > 0 for one in rows)
    assert (tiny.folder / "scaling.png").read_bytes()[:4] == b"\x89PNG"
    for words in ("gram | inverse".replace("|", "\\|"), "gram", "counted", "Σ n³ for dense and inverse"):
        assert words in done.stdout
    assert "[12/12] batch = 8: 4-4-3 batch 8" in done.stderr


@pytest.fixture
def asked(monkeypatch):
    """In place of processes for cells: what they are asked for, and the answers of `answers` where there are any."""
    measured, told = isolate.run_child, SimpleNamespace(cells=[], answers={})

    def run_child(module, question, **options):
        cell = json.loads(question)["cell"]
        told.cells.append(cell["batch_size"])
        answer = told.answers.get(len(told.cells))
        if isinstance(answer, BaseException):
            raise answer
        return answer or measured(module, question, **options)

    monkeypatch.setattr(isolate, "run_child", run_child)
    return told


def test_what_was_measured_is_kept_when_a_run_is_ended_in_between(tiny, asked):
    asked.answers[4] = KeyboardInterrupt()
    assert tiny.run("-t", "batch").exit_code == 130
    before = len(asked.cells)
    kept = len(rows_of(tiny.folder))
    assert 0 < kept < 6
    asked.answers.clear()
    assert tiny.run("-t", "batch").exit_code == 0
    assert len(asked.cells) - before == 6 - kept
    assert [one["status"] for one in rows_of(tiny.folder)] == ["ok"] * 6


BOUND = "n = 35 took 0.0 s per step, above the bound of 0 s"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_series_ends_at_the_first_size_above_the_bound(tiny, jobs):
    tiny.use(most_seconds=0.0)
    done = tiny.run("-t", "n", "-j", jobs)
    assert done.exit_code == 1
    assert [one["status"] for one in rows_of(tiny.folder)] == ["ok", "skipped", "skipped"] * 2
    assert BOUND in done.stdout
    assert {one["reason"] for one in rows_of(tiny.folder)} == {None, BOUND}
    again = tiny.run("-t", "n")  # what is there says so, too
    assert [one["status"] for one in rows_of(tiny.folder)] == ["ok", "skipped", "skipped"] * 2
    assert "cells from an earlier run: 2; to run: 4" in again.stderr


def test_a_size_that_does_not_fit_ends_its_series(tiny):
    tiny.use(sweeps=(Sweep("n", ("4-4-3", "3000-3000-3", "4000-4000-3"), (4,)),), methods=("naive",))
    assert tiny.run().exit_code == 1
    first, second, third = rows_of(tiny.folder)
    assert [one["status"] for one in (first, second, third)] == ["ok", "skipped", "skipped"]
    assert "GiB" in second["reason"]
    assert third["reason"].startswith("n = 9,012,003 has no figure: would need")


def test_a_process_that_dies_is_a_row(tiny, asked):
    asked.answers |= dict.fromkeys(range(1, 9), Answer("", "crashed", "SIGSEGV", ""))
    assert tiny.run("-t", "batch").exit_code == 1
    assert [one["reason"] for one in rows_of(tiny.folder)][:2] == ["SIGSEGV", "batch = 2 has no figure: SIGSEGV"]


def test_a_process_that_dies_of_the_memory_alone_leaves_the_seconds(tiny, monkeypatch):
    dead = Answer("", "out_of_memory", "memory ran out", "")
    monkeypatch.setattr(memory_pass, "run_child", lambda *words, **options: dead)
    tiny.run("-t", "batch")
    first = rows_of(tiny.folder)[0]
    assert (first["status"], first["peak_host_bytes"], first["step_seconds"] > 0) == ("ok", None, True)
    assert first["memory_reason"] == "tried 2 times: memory ran out"


def test_sweeps_are_named_like_networks():
    with pytest.raises(SpecError, match="no sweep is called 'width'; there are: n, d, batch, depth"):
        Request(suites=("scaling",), tasks=("width",)).cells()
    assert {cell.sweep for cell in Request(suites=("scaling",), tasks=("depth",)).cells()} == {"depth"}


def test_the_sweeps_of_the_suite_grow_in_what_they_say():
    cells = Request(suites=("scaling",)).cells()
    suite = plugins().find("suites", "scaling")
    assert len(cells) == len(suite.methods) * sum(len(s.networks) * len(s.batch_sizes) for s in suite.sweeps)
    for sweep in suite.sweeps:
        sizes = [cell.size for cell in cells if cell.sweep == sweep.size and "rows" in cell.method]
        assert sizes == sorted(set(sizes))
        assert stats.gmean(np.divide(sizes[1:], sizes[:-1])) > 1.5


def test_the_memory_suite_stands_beside_sgd(tmp_path):
    folder = tmp_path / "run"
    words = ("-t", "64-32-4", "--batch-size", 16, "--threads", 1, "-m", "sgd", "-m", "adam", "-o", folder)
    done = call("run", "memory", *words)
    assert done.exit_code == 0, done.output
    sgd, adam = rows_of(folder)
    numbers = 4 * (32 * 65 + 4 * 33)
    # Beside SGD's: two moments, and their next values.
    assert adam["peak_host_bytes"] - sgd["peak_host_bytes"] == pytest.approx(4 * numbers, rel=0.1)
    head = done.stdout.splitlines()[0]
    assert "host above sgd MiB" in head
    assert "step ms" not in head
