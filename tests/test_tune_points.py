"""`rbench tune`: the points of a search, and the spaces that they lie in."""

import math
import warnings
from collections import Counter

import numpy as np
import pytest

from helpers.tuning import request
from rbench.errors import SpecError
from rbench.methods import Choice, LogUniform
from rbench.methods.sobol import points
from rbench.train.cell import configured
from rbench.tune.journal import distributions


class TestPoints:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("space", [
        {"lr": LogUniform(1e-3, 1)},
        {"lr": LogUniform(1e-4, 10), "mass": LogUniform(1e-3, 1e3)},
        {"lr": LogUniform(1e-3, 1), "mass": LogUniform(1, 2), "choice": Choice(*range(8))},
    ])  # fmt: skip
    def test_each_setting_is_spread_evenly(self, space, seed):
        """A scrambled Sobol sequence has one of its first 2^m points in each of 2^m slices, along every axis."""
        found = points(space, 8, seed)
        for name, dimension in space.items():
            values = np.array([point[name] for point in found])
            if isinstance(dimension, Choice):
                slices = values
            else:
                slices = 8 * np.log(values / dimension.low) / np.log(dimension.high / dimension.low)
            assert sorted(np.floor(slices)) == list(range(8))

    def test_a_choice_is_as_likely_as_the_others(self):
        found = Counter(point["choice"] for point in points({"choice": Choice("a", "b"), "x": LogUniform(1, 2)}, 16, 3))
        assert found == {0: 8, 1: 8}

    def test_a_seed_makes_the_same_points_and_more_begin_with_them(self):
        space = configured("methods", "riemannian")[0].searched
        assert points(space, 5, 1) == points(space, 16, 1)[:5]
        assert points(space, 5, 1) != points(space, 5, 2)

    def test_methods_with_as_many_settings_are_tried_at_like_places(self):
        first, second = ({"lr": LogUniform(low, 1000 * low), "x": Choice(*range(4))} for low in (1e-3, 1e-4))
        for one, other in zip(points(first, 8, 0), points(second, 8, 0), strict=True):
            assert one["lr"] == pytest.approx(10 * other["lr"])
            assert one["x"] == other["x"]

    @pytest.mark.parametrize("seed", [0, 1000, 2**32 - 1])
    @pytest.mark.parametrize("count", [1, 5, 16])
    def test_they_are_those_of_optuna(self, seed, count):
        optuna = pytest.importorskip("optuna")
        space = {"lr": LogUniform(1e-3, 3), "clip": Choice(None, 0.001, 0.01), "mass": LogUniform(1e-4, 10)}
        drawn_from = distributions(space)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=seed)
        # Otherwise Optuna learns the space from a first trial, which it draws at random.
        sampler.infer_relative_search_space = lambda study, trial: drawn_from
        study = optuna.create_study(sampler=sampler)
        assert points(space, count, seed) == [study.ask(drawn_from).params for _ in range(count)]


class TestSpaces:
    @pytest.mark.parametrize(
        "name", ["sgd", "adam", "riemannian", "naive", "kfac", "shampoo", "soap", "muon", "modular-norm"]
    )
    def test_every_method_has_its_rate_over_three_decades_or_more_and_two_others(self, name):
        (method,) = configured("methods", name)
        space = method.searched
        assert len(space) == 3
        assert space["lr"].high >= 1000 * space["lr"].low
        for key, dimension in space.items():
            ends = dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)
            for value in ends:
                assert getattr(method.changed(**{key: value}), key) == value

    @pytest.mark.parametrize("bounds", [(0, 1), (1, 1), (2, 1), (-1, 1), (1, math.inf), (math.nan, 1)])
    def test_bounds_that_are_none(self, bounds):
        with pytest.raises(SpecError, match="low < high"):
            LogUniform(*bounds)

    @pytest.mark.parametrize("values", [(), (1,)])
    def test_a_choice_needs_two_values(self, values):
        with pytest.raises(SpecError, match="two values or more"):
            Choice(*values)

    @pytest.mark.parametrize(
        ("drawn", "setting"), [(0.123456, 0.123), (0.0010004, 0.001), (9.9999, 10), (0.00099999, 0.001)]
    )
    def test_three_digits_of_a_number_are_kept(self, drawn, setting):
        assert LogUniform(0.001, 10).setting(drawn) == setting

    @pytest.mark.parametrize(
        ("method", "name", "searched"),
        [
            ("sgd", "sgd[schedule=linear]", {"lr", "momentum", "nesterov"}),
            ("sgd[momentum=0.5]", "sgd[momentum=0.5]", {"lr", "nesterov"}),
            (
                "riemannian[rank=2,mass=0.5]",
                "riemannian[output_metric=ggn_mc,mass=0.5,rank=2]",
                {"lr", "kl_clip"},
            ),
            ("kfac", "kfac", {"lr", "damping", "kl_clip"}),
            ("kfac[refresh=10]", "kfac[refresh=10]", {"lr", "damping", "kl_clip"}),
        ],
    )
    def test_what_brackets_set_is_held(self, bench, method, name, searched):
        (one,) = request(tasks=("two-spirals",), methods=(method,)).plan().searches
        assert one.cell.method == name
        assert set(one.space) == searched

    def test_what_differs_in_searched_settings_alone_is_searched_once(self, bench):
        asked = request(tasks=("digits",), methods=("sgd[weight_decay=[0,0.1]]", "sgd[weight_decay=0]"))
        assert [one.cell.method for one in asked.plan().searches] == ["sgd", "sgd[weight_decay=0.1]"]
