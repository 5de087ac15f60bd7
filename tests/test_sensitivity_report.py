"""Tables and pictures of sensitivity, of records made by hand."""

import json
import math

import numpy as np
import pytest

from helpers.command import call
from helpers.faults import write_run
from rbench.errors import DataError
from rbench.report.kinds import pictures
from rbench.report.sensitivity import render_sensitivity
from rbench.report.studies import studies
from rbench.run import Budget, Record, Training
from rbench.sensitivity.statistics import expected_best

START = 2.5
FORMS = ["markdown", "latex", "html"]


def record(method, loss, seed=1000, batch=64, start=START, status="ok", **others):
    """A record of `digits`; where it failed it has no loss."""
    task = f"digits[batch_size={batch},validation=true]" if batch != 64 else "digits[validation=true]"
    cell = Training(suite="s", task=task, method=method, backend="numpy", seed=seed, budget=Budget(epochs=1), **others)
    figures = {"device": "cpu", "dataset_sha256": "ab" * 32} | ({"test_loss": loss} if status == "ok" else {})
    none = {"test_accuracy": None, "test_squared_error": None}
    history = [] if start is None else [{"step": 0, "seconds": 0.0, "test_loss": start, **none}]
    return Record(cell=cell, status=status, figures=figures, history=history)


def of_rates(losses, name="sgd", seed=1000):
    """Records over four decades of rate, at one momentum."""
    rates = np.logspace(-3, 1, len(losses))
    return [record(f"{name}[lr={rate:.3g}]", loss, seed) for rate, loss in zip(rates, losses, strict=True)]


LOSSES = [2.0, 0.5, 0.11, 0.1, 0.12, 0.4, 1.0, 2.4]


def test_the_figures_of_a_method():
    (one,) = studies(of_rates(LOSSES))
    assert (one.method, one.best, one.unimproved) == ("sgd", 0.1, 0)
    assert set(one.points) == {"rate"}
    np.testing.assert_allclose(one.curves[0], expected_best(np.array(LOSSES)))
    assert one.within(one.best).middle == 3 / 8
    assert one.decades() == pytest.approx(2 * 4 / 7, abs=0.01)
    assert one.best_point == ("sgd[lr=0.0518]", "digits")
    assert one.needed().middle == 5  # by hand: 0.1286 of four points, 0.1098 of five


def test_failures_and_what_got_worse_count_as_the_start():
    runs = [*of_rates(LOSSES[:5]), *(record(f"sgd[lr={rate}]", None, status="diverged") for rate in (20, 30))]
    runs += [
        record("sgd[lr=40]", 1e9),
        record("sgd[lr=50]", math.nan),
        record("sgd[lr=60]", None, status="crashed", start=None),
    ]
    (one,) = studies(runs)
    assert (one.unimproved, len(one.medians)) == (5, 10)
    assert list(one.medians[5:]) == [START] * 5
    assert one.within(0.1).middle == 3 / 10
    assert "5 of 10" in render_sensitivity(runs, "markdown")


def test_a_point_is_the_median_over_seeds_and_a_curve_is_of_one():
    runs = [
        one
        for seed, factor in ((1000, 1), (1001, 2), (1002, 10))
        for one in of_rates(np.array(LOSSES) * factor, seed=seed)
    ]
    (one,) = studies(runs)
    np.testing.assert_allclose(one.medians, np.minimum(2 * np.array(LOSSES), START))
    np.testing.assert_allclose(one.curves[:, -1], [0.1, 0.2, 1.0])
    (fewer,) = studies(runs[:-1])  # of a seed that lacks a point
    assert fewer.losses.shape == (8, 2)


def test_methods_compete_with_the_best_of_all():
    runs = [*of_rates(LOSSES), *of_rates([4 * loss for loss in LOSSES], "adam")]
    sgd, adam = studies(runs)
    assert (sgd.best, adam.best, adam.medians.min()) == (0.1, 0.1, 0.4)
    assert adam.within(adam.best).middle == 0
    assert adam.needed() == (math.inf, math.inf, math.inf)
    assert "never" in render_sensitivity(runs, "markdown")


def test_a_mass_divides_the_rate_and_what_is_held_stays_in_the_name():
    runs = [record(f"riemannian[output_metric=ggn,lr={2 * rate:g},mass=2]", rate) for rate in LOSSES]
    (held,) = studies(runs)
    assert held.method == "riemannian[output_metric=ggn,mass=2]"
    np.testing.assert_allclose(held.points["rate"], LOSSES)
    runs = [record(f"kfac[lr={one},damping={one}]", one, batch=16 * one) for one in range(1, 9)]
    (varied,) = studies(runs)
    assert (varied.method, set(varied.points)) == ("kfac", {"mass", "batch"})
    assert math.isnan(varied.decades())
    runs = [record(f"kfac[lr=1,damping={one}]", one) for one in range(1, 9)]
    (of_mass,) = studies(runs)
    assert (of_mass.method, set(of_mass.points)) == ("kfac[lr=1]", {"mass"})
    assert varied.best_point == ("kfac[lr=1,damping=1]", "digits[batch_size=16]")


def test_what_acts_has_a_share_and_what_does_not_is_marked():
    rng = np.random.default_rng(0)
    rates, momenta = 10 ** rng.uniform(-3, 1, 64), rng.uniform(0, 0.99, 64)
    runs = [
        record(f"sgd[lr={rate:.3g},momentum={mu:.3f}]", 0.1 + rate / 10)
        for rate, mu in zip(rates, momenta, strict=True)
    ]
    (line,) = json.loads(render_sensitivity(runs, "json"))
    assert line["share_of_rate"] > 0.8 > line["null_share_high"] > line["share_of_momentum"]
    assert line["share_of_mass"] is None
    assert line["null_share"] == pytest.approx(3 / 63)
    row = render_sensitivity(runs, "markdown").splitlines()[2]
    assert row.count("\\~") == 1


@pytest.mark.parametrize("form", FORMS)
def test_forms_to_look_at_say_how_to_read_them(form):
    text = render_sensitivity(of_rates(LOSSES), form)
    assert "validation split" in text
    assert "sgd[lr=0.0518" in text.replace("{}", "")


def test_raw_forms_hold_every_interval():
    (line,) = json.loads(render_sensitivity(of_rates(LOSSES * 2), "json"))
    assert line["good_share_of_best_low"] < line["good_share_of_best"] == 3 / 8 < line["good_share_of_best_high"]
    assert line["expected_best_of_4_low"] <= line["expected_best_of_4"] <= line["expected_best_of_4_high"]
    assert "expected_best_of_16" not in line
    assert render_sensitivity(of_rates(LOSSES), "csv").splitlines()[0].startswith("task,budget,backend")


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "there are no records"),
        (of_rates(LOSSES[1:]), "sgd on digits.* has 7 points, and 8 are needed"),
        ([record(f"sgd[lr={rate}]", 1, start=None) for rate in range(1, 9)], "evaluated at its start"),
        ([*of_rates(LOSSES)[1:], *of_rates(LOSSES[:1] * 8, seed=1001)[:1]], "no seed with all its points"),
    ],
)
def test_records_that_are_no_study(records, words):
    with pytest.raises(DataError, match=words):
        studies(records)


def test_the_picture_has_the_curves_and_a_map_for_each_method():
    rng = np.random.default_rng(0)
    points = 10 ** rng.uniform(-3, 0, (8, 2))
    runs = [record(f"sgd[lr={x:.3g},momentum={1 - y:.3f}]", 0.1 + x, seed) for x, y in points for seed in (1000, 1001)]
    runs += [record(f"kfac[lr={x * y:.3g},damping={y:.3g}]", 0.1 + y, seed) for x, y in points for seed in (1000, 1001)]
    (picture,) = pictures("heatmap", runs)
    curves, sgd, kfac = picture.panels
    *lines, near = curves.traces
    assert [line.label for line in lines] == ["sgd", "kfac"]
    np.testing.assert_allclose(lines[0].y[-1], 0.1 + points[:, 0].min(), rtol=1e-2)
    assert near.shape == "rule"
    assert [panel.title for panel in (sgd, kfac)] == ["sgd", "kfac"]
    assert (sgd.y_title, kfac.y_title) == ("log₁₀ (1 − momentum)", "log₁₀ mass")
    others, best = kfac.traces
    assert len(others.x) == 7
    assert best.y[0] == pytest.approx(np.log10(points[:, 1].min()), abs=0.01)
    assert np.nanmin(kfac.grid.values) == pytest.approx(0.1 + points[:, 1].min(), rel=1e-2)


def test_the_picture_of_a_single_setting_has_the_losses_over_it():
    (picture,) = pictures("heatmap", of_rates(LOSSES))
    panel = picture.panels[1]
    (points,) = panel.traces
    np.testing.assert_allclose(points.x, np.linspace(-3, 1, 8), atol=1e-3)
    np.testing.assert_allclose(points.y, LOSSES)
    assert (panel.x_title, panel.log) == ("log₁₀ rate", "y")


def test_the_command_prints_and_draws(tmp_path):
    pytest.importorskip("matplotlib")
    rates = np.logspace(-3, 1, 8)
    runs = [
        record(f"sgd[lr={r:.3g},momentum={m}]", loss)
        for r, m, loss in zip(rates, np.linspace(0, 0.9, 8), LOSSES, strict=True)
    ]
    write_run(tmp_path / "run", runs)
    done = call("table", tmp_path / "run", "--sensitivity", tmp_path / "p.png")
    assert done.exit_code == 0
    assert "within 1.25 × own best %" in done.stdout
    assert (tmp_path / "p.png").stat().st_size > 10_000
    wrong = call("table", tmp_path / "run", "--sensitivity", tmp_path / "p.png", "--ranking")
    assert wrong.exit_code == 2
    assert "give one of" in wrong.stderr
