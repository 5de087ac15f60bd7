"""Curves of losses and errors, of records made by hand."""

import numpy as np
import pytest

from rbench.errors import DataError
from rbench.report.kinds.curves import FAR, curve_pictures
from rbench.run import Budget, Record, Training


def record(task, method, seed, history, sha="ab", status="ok", **others):
    cell = Training(suite="s", task=task, method=method, backend="numpy", seed=seed, budget=Budget(steps=5))
    figures = {"device": "cpu", "dataset_sha256": sha * 32}
    return Record(cell=cell, status=status, figures=figures, history=history, **others)


def points(seconds, **figures):
    return [
        {"step": 10 * index, "seconds": at, "test_accuracy": None, "test_squared_error": None}
        | {name: values[index] for name, values in figures.items()}
        for index, at in enumerate(seconds)
    ]


def labelled(picture):
    return [[trace.label for trace in panel.traces] for panel in picture.panels]


def test_a_line_is_the_median_over_seeds_of_what_is_missed():
    accuracies = np.array(([0.5, 0.9], [0.4, 0.96], [0.6, 0.8]))
    seconds = np.array(([0, 1.0], [0, 3.0], [0, 2.0]))
    runs = [
        record("digits", "sgd[lr=0.1]", seed, points(at, test_accuracy=values))
        for seed, (at, values) in enumerate(zip(seconds, accuracies, strict=True))
    ]
    (picture,) = curve_pictures(runs)
    by_step, by_seconds = picture.panels
    missed = 100 * (1 - accuracies)
    for panel, x, kept in ((by_step, [0, 10], [0, 1]), (by_seconds, [2], [1])):
        (line,) = panel.traces
        np.testing.assert_allclose(line.x, x)
        np.testing.assert_allclose(line.y, np.median(missed, axis=0)[kept])
        np.testing.assert_allclose(line.low, missed.min(axis=0)[kept])
        np.testing.assert_allclose(line.high, missed.max(axis=0)[kept])
        assert panel.y_title == "test labels missed, %"
    assert (by_step.log, by_seconds.log) == ("y", "xy")
    assert picture.notes == ("Lines are medians over 3 seeds, bands their range.",)


def test_a_task_with_labels_has_losses_and_what_is_missed_and_another_its_squared_errors():
    values = {"train_loss": [2, 1], "test_loss": [2, 1], "test_accuracy": [0.1, 0.5]}
    squares = {"train_loss": [2, 1], "train_squared_error": [4, 2], "test_squared_error": [4, 2]}
    runs = [
        record("digits", "sgd", 0, points([0, 1], **values)),
        record("regression", "sgd", 0, points([0, 1], **squares)),
    ]
    digits, regression = curve_pictures(runs)
    assert [panel.y_title for panel in digits.panels] == ["train loss", "test loss", "test labels missed, %"] * 2
    assert [panel.y_title for panel in regression.panels] == ["train squared error", "test squared error"] * 2
    assert (digits.across, regression.across) == (3, 2)


def test_methods_have_one_label_on_all_tasks_and_settings_tell_two_apart():
    runs = [
        record(task, f"{name}[lr={rate}]", 0, points([0, 1], test_squared_error=[2, 1]))
        for task, rate in (("regression", 0.1), ("teacher-student", 0.2))
        for name in ("sgd", "adam")
    ]
    first, second = curve_pictures(runs)
    assert (first.title, second.title) == ("regression", "teacher-student")
    assert labelled(first) == labelled(second) == [["sgd", "adam"]] * 2
    rates = [record("regression", f"sgd[lr={rate}]", 0, points([0, 1], test_squared_error=[2, 1])) for rate in (1, 2)]
    assert labelled(curve_pictures(rates)[0])[0] == ["sgd, lr=1", "sgd, lr=2"]


def test_a_run_that_failed_counts_as_worse_than_all_others_from_there_on():
    runs = [
        record("regression", "sgd", seed, points(range(end), test_squared_error=[9, 1, 2][:end]), status=status)
        for seed, (end, status) in enumerate(((3, "ok"), (3, "ok"), (1, "diverged")))
    ]
    (picture,) = curve_pictures(runs)
    (line,) = picture.panels[0].traces
    np.testing.assert_allclose(line.y, [9, 1, 2])  # the larger of the two that are left
    assert list(line.high) == [9, np.inf, np.inf]
    assert picture.notes[1].endswith("all others: sgd (diverged 1 of 3).")
    (worse,) = curve_pictures([runs[0], runs[2], runs[2].model_copy(update={"cell": runs[1].cell})])
    assert [list(trace.x) for trace in worse.panels[0].traces] == [[0]]


def test_a_method_without_any_evaluation_is_named():
    runs = [record("regression", "sgd", 0, points([0, 1], test_squared_error=[2, 1]))]
    runs += [record("regression", "naive", 0, [], status="skipped", reason="too large")]
    (picture,) = curve_pictures(runs)
    assert labelled(picture)[0] == ["sgd"]
    assert "naive (skipped: too large)" in picture.notes[1]


def test_what_is_far_above_the_start_is_not_drawn():
    runs = [record("regression", "sgd", 0, points([0, 1, 2], test_squared_error=[2, 2 * FAR + 1, 2 * FAR]))]
    (picture,) = curve_pictures(runs)
    np.testing.assert_allclose(picture.panels[0].traces[0].y, [2, 2 * FAR])
    assert "is not drawn" in picture.notes[-1]


def test_machines_have_pictures_of_their_own():
    runs = [
        record("regression", "sgd", 0, points([0, 1], test_squared_error=[2, error]), environment={"cpu": cpu})
        for cpu, error in (("Abacus", 1.0), ("Sliderule", 0.5))
    ]
    first, second = curve_pictures(runs)
    assert [one.panels[0].traces[0].y[-1] for one in (first, second)] == [1.0, 0.5]
    assert "Abacus" in first.title


def test_other_data_are_refused():
    runs = [
        record("regression", "sgd", seed, points([0, 1], test_squared_error=[2, 1]), sha)
        for seed, sha in enumerate(("ab", "cd"))
    ]
    with pytest.raises(DataError, match="data of regression are not the same"):
        curve_pictures(runs)


def test_without_an_evaluation_there_are_no_curves():
    with pytest.raises(DataError, match="no curves"):
        curve_pictures([record("digits", "sgd[lr=0.1]", 0, [])])
