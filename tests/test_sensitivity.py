"""Sensitivity to settings: statistics against enumeration and closed forms, and the points of a suite."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from helpers.registered import registered
from helpers.tuning import SPIRALS, Silent
from rbench.errors import RbenchError, SpecError
from rbench.methods import LogUniform
from rbench.methods.sobol import points
from rbench.run import Budget, Entry, Request, run
from rbench.sensitivity import SensitivitySuite, coordinates
from rbench.sensitivity.statistics import (
    BINS,
    binned,
    expected_best,
    null_share,
    percentile_interval,
    points_needed,
    resampled,
    share,
    variance_share,
)
from rbench.tune import TuneRequest


class TestExpectedBest:
    @pytest.mark.parametrize("losses", [[3.0], [2.0, 1.0], [0.3, 5.0, 0.1, 2.0, 0.7, 0.7], [1.0, 1.0, 1.0]])
    def test_it_is_the_mean_over_all_choices(self, losses):
        every = [np.mean([min(drawn) for drawn in combinations(losses, k + 1)]) for k in range(len(losses))]
        np.testing.assert_allclose(expected_best(np.array(losses)), every, rtol=1e-13)

    def test_it_goes_from_the_mean_to_the_best_of_thousands(self):
        losses = np.random.default_rng(0).lognormal(size=(2, 3000))
        found = expected_best(losses)
        np.testing.assert_allclose(found[:, 0], losses.mean(axis=1), rtol=1e-10)
        np.testing.assert_allclose(found[:, -1], losses.min(axis=1), rtol=1e-10)
        assert (np.diff(found) <= 1e-12).all()

    def test_how_many_points_reach_a_target(self):
        curves = np.array([[5.0, 2.0, 1.0], [5.0, 4.0, 3.0]])
        assert list(points_needed(curves, 2.0)) == [2, math.inf]
        assert points_needed(curves[0], 5.0) == 1

    def test_a_bootstrap_interval_holds_the_truth_as_often_as_it_says(self):
        """The expected best of 4 of a uniform distribution is 1/5."""
        rng, held = np.random.default_rng(1), 0
        for _ in range(200):
            losses = rng.random(64)
            found = percentile_interval(expected_best(losses)[3], expected_best(resampled(losses))[:, 3])
            held += found.low <= 0.2 <= found.high
        assert stats.binomtest(held, 200, 0.95).pvalue > 0.01


@pytest.mark.parametrize(("count", "of"), [(0, 16), (3, 16), (16, 16), (5, 64)])
def test_the_interval_of_a_share_is_wilsons(count, of):
    z, p = stats.norm.ppf(0.975), count / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    assert share(count, of) == pytest.approx((p, middle - half, middle + half), abs=1e-12)


class TestVarianceShares:
    def test_they_are_the_indices_of_a_function_that_is_known(self):
        """Of y = 3 x + 2 z + 12 (u − ½)(v − ½), uniform, Var is 9/12 + 4/12 + 1; 1/16 of a line is within four bins."""
        space = dict.fromkeys("xzuv", LogUniform(1, math.e))
        x, z, u, v = np.log([[point[name] for name in space] for point in points(space, 4096, 0)]).T
        y = 3 * x + 2 * z + 12 * (u - 0.5) * (v - 0.5)
        indices = np.array([9 / 12, 4 / 12, 0, 0]) / (9 / 12 + 4 / 12 + 1)
        found = [float(variance_share(binned(one), y)) for one in (x, z, u, v)]
        np.testing.assert_allclose(found, indices * 15 / 16, atol=3e-3)

    def test_steps_at_the_edges_of_bins_are_whole(self):
        batch = np.repeat([16.0, 32.0, 64.0, 128.0], 4)
        assert sorted(np.bincount(binned(batch))) == [4, 4, 4, 4]
        assert variance_share(binned(batch), np.log(batch)) == pytest.approx(1)

    def test_noise_has_a_share_that_only_chance_gives_it(self):
        """Of normal figures that no dimension acts on it is Beta((b − 1)/2, (N − b)/2), of mean (b − 1)/(N − 1)."""
        rng, n = np.random.default_rng(2), 64
        bins = binned(rng.random(n))
        found = variance_share(bins, rng.normal(size=(4000, n)))
        law = stats.beta((BINS - 1) / 2, (n - BINS) / 2)
        assert law.mean() == pytest.approx((BINS - 1) / (n - 1))
        assert stats.kstest(found, law.cdf).pvalue > 0.01
        null = null_share(bins, rng.normal(size=n))
        assert null.middle == pytest.approx(law.mean())
        assert null.high == pytest.approx(law.ppf(0.95), abs=0.015)

    def test_equal_figures_have_none(self):
        assert np.isnan(variance_share(binned(np.arange(8.0)), np.ones(8)))


RATES = {"sgd": LogUniform(1e-3, 10), "adam": LogUniform(1e-4, 1), "riemannian": LogUniform(1e-2, 100)}
RATES |= {"kfac": RATES["riemannian"]}
METHODS = ("sgd", "adam", "riemannian[output_metric=ggn]", "riemannian[output_metric=identity]", "kfac")
STUDY = SensitivitySuite(
    "study", "a small one", (Entry(SPIRALS, METHODS, 2),), RATES, LogUniform(1e-3, 10), points=16, seeds=2
)


@pytest.fixture
def study(bench):
    with registered(suites=[STUDY]):
        yield bench


def cells(**options):
    return Request(**{"suites": ("study",), "threads": 1, **options}).cells()


class TestSuite:
    def test_every_method_has_as_many_points_at_every_seed(self, study):
        found = cells()
        assert len(found) == len(set(found)) == 5 * 16 * 2
        assert {cell.seed for cell in found} == {1000, 1001}
        assert all(cell.make_task().validation for cell in found)
        assert len(cells(points=4, seeds=1)) == 5 * 4
        first, second = ([cell for cell in found if cell.seed == seed] for seed in (1000, 1001))
        assert [(one.method, one.task) for one in first] == [(one.method, one.task) for one in second]

    @pytest.mark.parametrize(
        "method", ["sgd", "adam", "kfac", "riemannian[output_metric=ggn]", "riemannian[mass=diagonal]"]
    )
    def test_rates_are_even_over_as_many_decades_for_every_method(self, study, method):
        found = [coordinates(cell) for cell in cells(methods=(method,), seeds=1)]
        name = method.partition("[")[0]
        ranges = {"rate": RATES[name], "mass": STUDY.masses} if "mass" in found[0] else {"rate": RATES[name]}
        assert set(found[0]) == {"momentum", "batch", *ranges}
        for dimension, its in ranges.items():
            assert math.log10(its.high / its.low) == pytest.approx(4)
            slices = [16 * math.log(one[dimension] / its.low) / math.log(its.high / its.low) for one in found]
            near = 16 * math.log(1.01) / math.log(its.high / its.low)  # for three digits of rate and mass
            assert all(index - near <= place <= index + 1 + near for index, place in enumerate(sorted(slices)))
        assert {one["batch"] for one in found} == {5, 10, 20, 40}

    def test_some_tasks_are_run_when_asked(self, study):
        later = replace(STUDY, name="later", when_asked=(Entry("digits", ("sgd", "adam"), 1),))
        with registered(suites=[later]):
            assert {cell.make_task().name for cell in cells(suites=("later",))} == {"two-spirals"}
            asked = cells(suites=("later",), tasks=("digits",), points=8)
            assert {(cell.make_task().name, cell.make_method().name) for cell in asked} == {
                ("digits", "sgd"), ("digits", "adam"),
            }  # fmt: skip
            assert later.contents() == {"tasks": [SPIRALS, "digits"]}

    def test_all_train_on_equally_many_examples(self, study):
        assert {cell.budget for cell in cells()} == {Budget(epochs=2)}
        assert {cell.budget for cell in cells(budget=Budget(epochs=7))} == {Budget(epochs=7)}

    def test_what_brackets_set_is_held(self, study):
        masses = {cell.make_method().mass for cell in cells(methods=("riemannian[mass=2]",))}
        assert masses == {2}
        (held,) = {cell.make_method().lr for cell in cells(methods=("riemannian[lr=0.5]",))}
        assert held == 0.5
        for options in {"tasks": (SPIRALS,)}, {"batch_size": 10}:
            sizes = {cell.make_task().batch_size for cell in cells(methods=("sgd",), **options)}
            assert len(sizes) == 1
        fitted = [coordinates(cell) for cell in cells(methods=("kfac[fit=scalar]",), seeds=1)]
        assert {tuple(one) for one in fitted} == {("mass", "batch")}

    def test_a_rate_over_a_held_mass_is_over_that_mass(self, study):
        found = [coordinates(cell)["rate"] for cell in cells(methods=("riemannian[mass=0.02]",))]
        assert 1e-2 * 0.99 < min(found) < 0.1 < 10 < max(found) < 1e2 * 1.01

    def test_a_run_goes_on_with_more_points(self, study, tmp_path):
        for count, made in ((4, 8), (4, 8), (8, 16)):
            request = Request(suites=("study",), threads=1, points=count, methods=("sgd",))
            assert len(run(request, tmp_path, Silent()).records) == made
            assert len(study.ran) == made

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"budget": Budget(steps=5)}, "equally many examples: give the budget in `epochs`"),
            ({"fixed": ("weights",), "evaluations": 1}, "'study' has no use for `fixed`, `evaluations`"),
            ({"suites": ("quick",), "points": 8}, "'quick' has no use for `points`"),
            ({"suites": ("action",), "points": 8}, "'action' has no use for `points`"),
            ({"suites": ("memory",), "points": 8}, "'memory' has no use for `points`"),
            ({"points": 0}, "points=0"),
            ({"points": 10_000}, "this would make 100,000 cells"),
            ({"methods": ("bare",)}, "has ranges of rates for sgd, adam, riemannian, kfac, and none for 'bare'"),
            ({"methods": ("sgd[lr=1,momentum=0]",), "batch_size": 4}, "nothing of sgd.* is left to vary"),
            ({"methods": ("sgd[rate=1]",)}, "rate.*lr, "),
        ],
    )
    def test_a_wrong_request_says_what_is_wrong(self, study, options, words):
        with pytest.raises(RbenchError, match=words):
            cells(**options)

    def test_ranges_that_are_not_as_wide_are_refused(self):
        with pytest.raises(SpecError, match=r"rates of sgd, log 0.1..1, do not span as much as the masses, log 0"):
            SensitivitySuite("s", "", (), {"sgd": LogUniform(0.1, 1)}, LogUniform(0.1, 10))

    def test_it_is_not_tuned(self, study):
        with pytest.raises(SpecError, match="suite 'study' has no settings to tune"):
            TuneRequest(suite="study", trials=4, seed=1, threads=1).plan()
