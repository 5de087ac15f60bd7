"""Pictures of records made by hand, as data and as files."""

import numpy as np
import pytest

from helpers.command import call
from helpers.faults import write_run
from rbench.cost import StepCost, StepTime
from rbench.errors import DataError
from rbench.figures import STEP_PARTS
from rbench.report.drawing import WIDTHS, across, draw, save_pictures
from rbench.report.kinds import KINDS, kinds_of, pictures
from rbench.report.kinds.pareto import front
from rbench.report.pictures import Panel, Picture, Trace
from rbench.report.styles import COLORS, MARKS, styles
from rbench.run import Budget, Record, Training

HOSTILE = "<script>alert($x_1$)</script>\x1b[31m\n=cmd_$"
METHODS = ("sgd[lr=0.1]", "adam[lr=0.1]", "kfac[lr=1,damping=1]", HOSTILE)


def trained(task, method, seed, accuracy=0.9, status="ok", seconds=1.0):
    cell = Training(suite="s", task=task, method=method, backend="numpy", seed=seed, budget=Budget(steps=9))
    figures = {"device": "cpu"}
    if status == "ok":
        figures |= {"test_accuracy": accuracy, "train_seconds": seconds, "peak_host_bytes": 2.0**20 * seconds}
        figures |= {"target_reached": True, "seconds_to_target": seconds}
    none = {"train_squared_error": None, "test_squared_error": None}
    history = [
        {"step": 3 * k, "seconds": k * seconds, "train_loss": 2.0 - k, "test_loss": 2.5 - k, "test_accuracy": 0.4 * k}
        | none
        for k in range(2)
    ]
    return Record(cell=cell, status=status, reason=None if status == "ok" else "why", figures=figures, history=history)


def training():
    return [
        trained(
            f"t{task}", method, seed, 0.9 - 0.1 * place - 0.01 * task - 0.001 * seed, seconds=1.0 + place + seed / 9
        )
        for task in range(6)
        for place, method in enumerate(METHODS)
        for seed in range(2)
    ]


def stepped(method, floor, parts, status="ok", network="4-3"):
    cell = StepTime(suite="step-time", network=network, batch_size=2, method=method, backend="numpy")
    figures = {"device": "cpu", "floor": floor, "step_seconds": sum(parts), "step_ratio_to_sgd": 1.0}
    figures |= {figure.name: part for figure, part in zip(STEP_PARTS, parts, strict=True)}
    return Record(cell=cell, status=status, figures=figures if status == "ok" else {}, reason=None)


def swept(method, power):
    place = {"suite": "scaling", "batch_size": 4, "method": method, "backend": "numpy", "sweep": "n"}
    cells = [StepCost(network=f"{n}-{n}-3", **place) for n in (8, 12, 16, 20)]
    return [
        Record(cell=cell, status="ok", figures={"device": "cpu", "step_seconds": float(cell.size) ** power})
        for cell in cells
    ]


STEPS = [stepped("sgd[lr=0.1]", 1.0, (1, 2, 0, 0.5, 0.5)), stepped("kfac[lr=1,damping=1]", 2.0, (1, 2, 3, 4, -0.1))]
OF = {"scaling": swept("sgd[lr=0.1]", 2) + swept("adam[lr=0.1]", 1), "breakdown": STEPS}


def records_of(kind):
    return OF.get(kind) or training()


def test_the_kinds_of_records_are_those_that_can_be_drawn():
    assert kinds_of(training()) == ["curves", "pareto", "profile", "ranks", "heatmap"]
    assert kinds_of(OF["scaling"]) == ["scaling"]
    assert kinds_of(STEPS) == ["breakdown"]
    assert kinds_of([]) == []
    assert set(kinds_of([*training(), *OF["scaling"], *STEPS])) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_in_every_form_whatever_its_labels(kind, tmp_path):
    pytest.importorskip("matplotlib")
    drawn = pictures(kind, records_of(kind))
    for form, begins in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path, again = tmp_path / f"a.{form}", tmp_path / f"b.{form}"
        save_pictures(drawn[:1], path, WIDTHS[1])
        save_pictures(drawn[:1], again, WIDTHS[1])
        assert path.read_bytes().startswith(begins)
        assert path.read_bytes() == again.read_bytes()
    assert b"/Type3" not in (tmp_path / "a.pdf").read_bytes()


def test_labels_are_told_apart_without_colour_and_alike_in_all_pictures():
    one = [Trace(f"m{n}", np.ones(1), np.ones(1)) for n in range(len(COLORS) * len(MARKS))]
    picture = Picture("k", "", (Panel("", "", "", tuple(one)),))
    found = styles([picture])
    assert len({(look.color, look.mark) for look in found.values()}) == len(one)
    assert styles([picture, picture]) == found


def test_a_label_is_drawn_alike_in_all_panels_and_another_differently():
    pytest.importorskip("matplotlib")
    a, b = (Trace(label, np.arange(1.0, 4), np.arange(1.0, 4)) for label in "ab")
    figure = draw(
        [
            Picture("k", "", (Panel("", "", "", (a, b)), Panel("", "", "", (b,)))),
            Picture("k", "", (Panel("", "", "", (b, a)),)),
        ]
    )
    first, second, third = (
        [(line.get_color(), line.get_marker()) for line in axes.lines] for part in figure.subfigs for axes in part.axes
    )
    assert first[0] != first[1]
    assert second == [first[1]]
    assert third == [first[1], first[0]]


@pytest.mark.parametrize(
    ("count", "inches", "expected"), [(6, 7, 3), (6, 3.3, 2), (3, 3.3, 1), (4, 7, 4), (4, 3.3, 2), (0, 7, 3)]
)
def test_as_many_panels_stand_in_a_row_as_are_wide_enough(count, inches, expected):
    panels = tuple(Panel("", "", "") for _ in range(6))
    assert across(Picture("k", "", panels, across=count), inches) == expected


def test_pictures_without_notes_share_a_legend_and_others_have_their_own():
    pytest.importorskip("matplotlib")
    curves = draw(pictures("curves", training())[:2])
    assert (len(curves.legends), [len(part.legends) for part in curves.subfigs]) == (1, [0, 0])
    texts = [text.get_text() for text in curves.legends[0].get_texts()]
    assert texts[0] == "sgd"
    assert not any("\x1b" in text for text in texts)
    scaling = draw(pictures("scaling", OF["scaling"]))
    (own,) = scaling.subfigs[0].legends
    assert [text.get_text() for text in own.get_texts()] == ["sgd (time 2.00)", "adam (time 1.00)"]


def test_the_front_is_what_no_other_beats(rng):
    for _ in range(20):
        x, y = rng.integers(0, 6, (2, 12)).astype(float)
        beaten = {
            n for n in range(12) for m in range(12) if x[m] <= x[n] and y[m] <= y[n] and (x[m], y[m]) != (x[n], y[n])
        }
        found = front(x, y)
        assert set(found) == set(range(12)) - beaten
        assert list(x[found]) == sorted(x[found])


def test_a_point_of_the_front_is_the_median_with_its_interval():
    runs = [trained("t", "sgd", seed, a, seconds=s) for seed, (a, s) in enumerate(((0.9, 1), (0.7, 3), (0.8, 9)))]
    (picture,) = pictures("pareto", [*runs, trained("t", "adam", 0, status="diverged")])
    point = next(trace for trace in picture.panels[0].traces if trace.shape == "points")
    assert [part[0] for part in (point.x, point.left, point.right)] == [3, 1, 9]
    assert [part[0] for part in (point.y, point.low, point.high)] == pytest.approx([20, 10, 30])
    assert "adam (diverged: why)" in picture.notes[-1]


def test_a_heat_map_has_ratios_to_the_best_and_says_what_failed():
    runs = [trained("t", "sgd", 0, 0.9), trained("t", "adam", 0, 0.7), trained("u", "adam", 0, 0.5)]
    (picture,) = pictures(
        "heatmap", [*runs, trained("u", "sgd", 0, status="out_of_memory"), trained("t", "kfac", 0, 0.8)]
    )
    grid = picture.panels[0].grid
    assert (list(grid.x), list(grid.y)) == (["t", "u"], ["adam", "sgd", "kfac"])
    np.testing.assert_allclose(grid.values, [[3, 1], [1, np.nan], [2, np.nan]])
    assert grid.words == [["3.00", "1.00"], ["1.00", "out of memory"], ["2.00", "–"]]


def test_a_breakdown_adds_up_beside_the_floor():
    (picture,) = pictures("breakdown", STEPS)
    (panel,) = picture.panels
    assert "Parts add up to 100% to 100% of the median step" in " ".join(picture.notes)
    bars = [trace for trace in panel.traces if trace.shape == "bars"]
    assert panel.rows == ("sgd", "kfac")
    assert [trace.label for trace in bars] == ["forward", "pullback", "metric", "solve", "apply"]
    np.testing.assert_allclose(sum(trace.x for trace in bars), [4000, 10000])  # what is negative by noise has no bar
    floor = panel.traces[-1]
    assert list(floor.x[::3]) == [4000, 8000]


def test_the_command_says_which_kinds_there_are(tmp_path):
    pytest.importorskip("matplotlib")
    write_run(tmp_path / "run", [trained("t", method, 0) for method in METHODS[:2]])
    done = call("plot", tmp_path / "run", "-o", tmp_path / "p.pdf")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--kind curves or --kind pareto or --kind profile or --kind ranks or --kind heatmap" in done.stderr
    done = call("plot", tmp_path / "run", "--kind", "scaling", "-o", tmp_path / "p.pdf")
    assert done.exit_code == 2
    assert "no scaling: no cell of a sweep ended ok; of these records can be drawn: curves, pareto" in done.stderr
    done = call("plot", tmp_path / "run", "--kind", "profile", "--reference", "adam", "-o", tmp_path / "p.pdf")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "speed-ups over adam" in done.stdout
    done = call("plot", tmp_path / "run", "--kind", "curves", "--columns", 1, "--width", 5, "-o", tmp_path / "p.pdf")
    assert "give one of --columns and --width" in done.stderr


def test_an_unknown_kind_is_refused():
    with pytest.raises(DataError, match=r"no kind of plot is called 'curve' .did you mean 'curves'"):
        pictures("curve", training())
