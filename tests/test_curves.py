"""Curves of test error, of records made by hand."""

import numpy as np
import pytest

from rbench.errors import DataError
from rbench.report import curves
from rbench.run import Budget, Record, Training


def record(task, method, seed, history, sha="ab", **others):
    cell = Training(suite="s", task=task, method=method, backend="numpy", seed=seed, budget=Budget(steps=5))
    figures = {"device": "cpu", "dataset_sha256": sha * 32}
    return Record(cell=cell, status="ok", figures=figures, history=history, **others)


def points(seconds, **figures):
    return [
        {"step": 10 * index, "seconds": at, "test_accuracy": None, "test_squared_error": None}
        | {name: values[index] for name, values in figures.items()}
        for index, at in enumerate(seconds)
    ]


@pytest.fixture
def drawn(monkeypatch):
    pytest.importorskip("matplotlib")
    pictures = []
    monkeypatch.setattr(curves, "save_plot", lambda picture, path, dpi: pictures.append(picture))

    def draw(records):
        curves.draw_curves(records, None)
        return pictures[-1]

    return draw


def test_a_line_is_the_median_over_seeds_of_what_is_missed(drawn):
    accuracies = ([0.5, 0.9], [0.4, 0.96], [0.6, 0.8])
    seconds = ([0, 1.0], [0, 3.0], [0, 2.0])
    runs = [
        record("digits", "sgd[lr=0.1]", seed, points(at, test_accuracy=values))
        for seed, (at, values) in enumerate(zip(seconds, accuracies, strict=True))
    ]
    by_seconds, by_steps = drawn(runs).axes
    for panel, x, y, spread in ((by_seconds, [2], [10], [4, 20]), (by_steps, [0, 10], [50, 10], [4, 60])):
        (line,) = panel.get_lines()
        np.testing.assert_allclose(line.get_xdata(), x)
        np.testing.assert_allclose(line.get_ydata(), y)
        (band,) = panel.collections
        np.testing.assert_allclose(band.get_paths()[0].get_extents().intervaly, spread)
    assert by_seconds.get_ylabel() == "test labels missed, %"


def test_tasks_have_panels_and_methods_one_look_in_all(drawn):
    runs = [
        record(task, f"{name}[lr={rate}]", 0, points([0, 1], test_squared_error=[2, 1]))
        for task, rate in (("regression", 0.1), ("teacher-student", 0.2))
        for name in ("sgd", "adam")
    ]
    picture = drawn(runs)
    first, _, second, _ = picture.axes
    assert [first.get_title("left"), second.get_title("left")] == ["regression", "teacher-student"]
    assert first.get_ylabel() == "test squared error"
    looks = [[line.get_color() for line in panel.get_lines()] for panel in (first, second)]
    assert looks[0] == looks[1]
    assert len(set(looks[0])) == 2
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["sgd", "adam"]


def test_two_settings_of_one_method_keep_their_names(drawn):
    runs = [
        record("regression", f"sgd[lr={rate}]", 0, points([0, 1], test_squared_error=[2, 1])) for rate in (0.1, 0.2)
    ]
    texts = [text.get_text() for text in drawn(runs).legends[0].get_texts()]
    assert texts == ["sgd[lr=0.1]", "sgd[lr=0.2]"]


def test_machines_have_panels_of_their_own(drawn):
    runs = [
        record("regression", "sgd", 0, points([0, 1], test_squared_error=[2, error]), environment={"cpu": cpu})
        for cpu, error in (("Abacus", 1.0), ("Sliderule", 0.5))
    ]
    first, _, second, _ = drawn(runs).axes
    assert [panel.get_lines()[0].get_ydata()[-1] for panel in (first, second)] == [1.0, 0.5]
    assert "Abacus" in first.get_title("left")


def test_other_data_are_refused(drawn):
    runs = [
        record("regression", "sgd", seed, points([0, 1], test_squared_error=[2, 1]), sha)
        for seed, sha in enumerate(("ab", "cd"))
    ]
    with pytest.raises(DataError, match="data of regression are not the same"):
        drawn(runs)


def test_without_an_evaluation_there_are_no_curves():
    with pytest.raises(DataError, match="no curves"):
        curves.draw_curves([record("digits", "sgd[lr=0.1]", 0, [])], None)
