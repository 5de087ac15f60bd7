"""Ranks and profiles over tasks, of records made by hand, against published figures and textbook formulas."""

import itertools
import json
import math
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import command
from helpers.faults import write_run
from rbench.cost import StepTime
from rbench.errors import DataError, RbenchError
from rbench.report.drawing import save_pictures
from rbench.report.kinds import pictures
from rbench.report.kinds.ranks import groups
from rbench.report.problems import Problems, problems, untuned
from rbench.report.profile import profile, ratios, reference_of, render_profiles, score, speed_ups, timed_problems
from rbench.report.ranking import ranking, render_ranking
from rbench.run import Budget, Record, Training
from rbench.run.record import write_record

INF = math.inf
FORMS = ["markdown", "latex", "csv", "html", "json"]


def record(task, method, seed=0, status="ok", backend="numpy", **figures):
    cell = Training(suite="s", task=task, method=method, backend=backend, seed=seed, budget=Budget(steps=5))
    return Record(cell=cell, status=status, figures={"device": "cpu"} | figures)


def timed(task, method, *seconds):
    """A record a seed; infinite seconds are a missed target."""
    return [
        record(task, method, seed, target_reached=value < INF, seconds_to_target=value if value < INF else None)
        for seed, value in enumerate(seconds)
    ]


def by_test_figure(records):
    (found,) = problems(records, "test figure")
    return ranking(found)


AUC = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip
"""The example of Demšar 2006, table 6: four classifiers on fourteen data sets; 0.9751 is ranked there before 0.975."""


def auc_records(count=14):
    return [
        record(f"task-{i:02}", method, test_accuracy=float(value))
        for i, row in enumerate(AUC[:count])
        for method, value in zip("abcd", row, strict=True)
    ]


def test_the_published_example_of_ranks():
    found = by_test_figure(auc_records())
    assert dict(found.mean) == pytest.approx({"d": 1.964, "b": 2.000, "c": 2.893, "a": 3.143}, abs=5e-4)
    assert found.critical == pytest.approx(1.25, abs=5e-3)
    assert found.p < 0.05
    assert found.marks == ["*", "~", "~", "~"]  # as he finds, who must go to 10 % to tell d from a
    assert "~2.00" in render_ranking(auc_records(), "markdown")


def test_friedmans_test_is_that_of_the_rank_sums():
    """χ² = 12 / (N k (k + 1)) Σ R² − 3 N (k + 1) where nothing is equal."""
    rng, n, k = np.random.default_rng(0), 7, 4
    scores = rng.normal(size=(n, k))
    found = by_test_figure(
        [record(f"t{i}", m, test_loss=10 + v) for i, row in enumerate(scores) for m, v in zip("abcd", row, strict=True)]
    )
    sums = scores.argsort(axis=1).argsort(axis=1).sum(axis=0) + n
    statistic = 12 / (n * k * (k + 1)) * (sums**2).sum() - 3 * n * (k + 1)
    assert found.p == pytest.approx(stats.chi2.sf(statistic, k - 1))
    assert dict(found.mean) == pytest.approx(dict(zip("abcd", sums / n, strict=True)))


@pytest.mark.parametrize(("k", "q"), [(3, 2.343), (5, 2.728), (8, 3.031), (10, 3.164)])
def test_the_critical_difference_is_the_published_one(k, q):
    """q of Demšar 2006, table 5 (a)."""
    records = [record(f"t{i}", f"m{j}", test_loss=1.0 + j) for i in range(6) for j in range(k)]
    assert by_test_figure(records).critical == pytest.approx(q * math.sqrt(k * (k + 1) / 36), rel=5e-4)


def test_a_clear_order_is_told_apart_beyond_the_critical_difference():
    records = [record(f"t{i}", m, test_loss=1.0 + j) for i in range(5) for j, m in enumerate("abcd")]
    found = by_test_figure(records)
    assert (list(found.mean), found.marks) == ([1, 2, 3, 4], ["*", "~", "~", ""])
    assert 2 < found.critical < 3
    assert "p = 0.0018. ~ is not shown to differ from the best" in render_ranking(records, "markdown")


def test_without_five_tasks_and_three_methods_there_is_no_test():
    for records, words in (
        (auc_records(4), "No test: 4 tasks and 4 methods; it takes 5 and 3"),
        ([r for r in auc_records() if r.cell.method in "ab"], "No test: 14 tasks and 2 methods"),
    ):
        found = by_test_figure(records)
        assert math.isnan(found.p)
        assert set(found.marks) == {""}
        assert words in render_ranking(records, "markdown")


def test_methods_that_are_alike_are_not_told_apart():
    records = [record(f"t{i}", m, test_loss=1.0) for i in range(6) for m in "abc"]
    found = by_test_figure(records)
    assert (found.p, list(found.mean), found.marks) == (1, [2, 2, 2], ["*", "~", "~"])
    assert "no method is shown to differ" in render_ranking(records, "markdown")


def test_failures_and_misses_are_last_and_share_their_rank():
    records = [
        *timed("t", "a", 3.0), *timed("t", "b", INF), *timed("t", "c", 1.0),
        record("t", "d", status="diverged"), record("t", "e", status="skipped"), record("t", "f", status="crashed"),
    ]  # fmt: skip
    (found,) = problems(records, "seconds to target")
    ranks = ranking(found).ranks["t"]
    assert dict(ranks) == {"c": 1, "a": 2, "b": 4.5, "d": 4.5, "e": 4.5, "f": 4.5}
    for order in itertools.islice(itertools.permutations(records), 0, 720, 97):
        (again,) = problems(list(order), "seconds to target")
        pd.testing.assert_frame_equal(ranking(again).ranks, ranking(found).ranks)


def test_a_method_that_fails_at_most_seeds_fails_on_the_task():
    records = [
        *[record("t", "a", seed, test_loss=1.0) for seed in range(3)],
        *[record("t", "b", seed, "diverged" if seed else "ok", test_loss=None if seed else 0.1) for seed in range(3)],
        *[record("t", "c", seed, "ok" if seed else "diverged", test_loss=2.0 if seed else None) for seed in range(3)],
    ]
    assert dict(by_test_figure(records).ranks["t"]) == {"a": 1, "c": 2, "b": 3}


@pytest.mark.parametrize(
    ("figure", "values", "ranks"),
    [
        ("test_accuracy", (0.5, 0.9, 0.7), [3, 1, 2]),
        ("test_squared_error", (0.5, 0.9, 0.7), [1, 3, 2]),
        ("test_loss", (0.5, 0.9, 0.5), [1.5, 3, 1.5]),
    ],
)
def test_each_task_is_ranked_by_its_main_figure(figure, values, ranks):
    records = [record("t", m, **{figure: v}, train_loss=-v) for m, v in zip("abc", values, strict=True)]
    assert list(by_test_figure(records).ranks["t"][list("abc")]) == ranks


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("sgd[lr=0.1,schedule=linear,momentum=0.8]", "sgd"),
        ("riemannian[output_metric=ggn,lr=0.1,mass=3,batch=mean]", "riemannian[output_metric=ggn,batch=mean]"),
        ("kfac[lr=0.1,damping=3,refresh=10]", "kfac[refresh=10]"),
        ("of-no-plugin-here[lr=0.1]", "of-no-plugin-here[lr=0.1]"),
    ],
)
def test_the_name_of_a_method_without_what_is_tuned(spec, name):
    assert untuned(spec) == name


def test_a_method_is_one_over_tasks_whatever_its_rate():
    made = [("t", "sgd[lr=0.1]"), ("t", "adam[lr=0.2]"), ("u", "sgd[lr=0.3]"), ("u", "adam[lr=0.4]")]
    found = by_test_figure([record(task, spec, test_loss=index + 1.0) for index, (task, spec) in enumerate(made)])
    assert list(found.mean.index) == ["sgd", "adam"]


def test_two_settings_of_one_task_stay_two_methods():
    records = [record(t, spec, test_loss=1.0) for t in "tu" for spec in ("sgd[lr=0.1]", "sgd[lr=0.2]", "adam[lr=0.1]")]
    assert sorted(by_test_figure(records).mean.index) == ["adam", "sgd[lr=0.1]", "sgd[lr=0.2]"]


def test_methods_that_a_task_does_not_have_are_left_out_and_named():
    records = [record(t, m, test_loss=1.0) for t, methods in (("t", "abc"), ("u", "ab")) for m in methods]
    (found,) = problems(records, "test figure")
    assert (list(found.scores), found.left_out) == (["a", "b"], ("c",))
    assert "Left out, as they were not run on every task: c." in render_ranking(records, "markdown")


def test_backends_are_ranked_apart_and_a_repeated_cell_counts_once():
    records = [record("t", m, backend=b, test_loss=1.0 + (m < b)) for b in ("numpy", "torch") for m in "ab"]
    for given in (records, records * 2):
        text = render_ranking(given, "markdown")
        assert text.count("| backend ") == 2
        assert [(line["backend"], line["method"]) for line in json.loads(render_ranking(given, "json"))] == [
            ("numpy", "a"), ("numpy", "b"), ("torch", "a"), ("torch", "b"),
        ]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_ranks_and_profiles(form):
    records = [r for m, s in (("a", 1.0), ("b_c", INF)) for t in ("t", "u") for r in timed(t, m, s)]
    for render in (render_ranking, render_profiles):
        text = render(records, form)
        assert "b_c" in text.replace("\\_", "_")
    if form == "json":
        lines = json.loads(render_profiles(records, form), parse_constant=pytest.fail)
        assert {line["rho"] for line in lines if line["method"] == "a"} == {1.0}


SECONDS = pd.DataFrame({"a": [1, 2, 4, INF, INF], "b": [2, 2, 1, 8, INF], "c": [3, INF, INF, 2, INF]}, dtype=float)


def test_a_profile_is_the_share_of_problems_within_a_ratio_of_the_quickest():
    found = profile(SECONDS, (1, 1.9, 2, 3, 4, 100, INF))
    assert list(found.loc["a"]) == [0.4, 0.4, 0.4, 0.4, 0.6, 0.6, 0.6]
    assert list(found.loc["b"]) == [0.4, 0.4, 0.6, 0.6, 0.8, 0.8, 0.8]
    assert list(found.loc["c"]) == [0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 0.4]
    assert list(found.index) == ["b", "a", "c"]


def test_a_profile_rises_and_knows_no_unit_and_no_order(rng):
    missed = rng.random((30, 4)) < 0.2
    times = pd.DataFrame(np.where(missed, INF, np.exp(rng.normal(size=(30, 4)))), columns=list("abcd"))
    taus = (1, 1.5, 2, 5, 50, INF)
    found = profile(times, taus)
    assert (np.diff(found.to_numpy(), axis=1) >= 0).all()
    assert found[1].sum() == pytest.approx(np.isfinite(times).any(axis=1).mean())
    pd.testing.assert_frame_equal(profile(7 * times.sample(frac=1, random_state=0), taus), found)
    assert dict(found[INF]) == pytest.approx(dict(np.isfinite(times).mean()))


def test_the_score_is_the_profiles_integral_from_1_to_4(rng):
    times = pd.DataFrame(np.exp(rng.normal(size=(20, 3))), columns=list("abc")).mask(rng.random((20, 3)) < 0.2, INF)
    taus = np.linspace(1, 4, 30001)
    integral = np.trapezoid(profile(times, taus).to_numpy(), taus, axis=1) / 3
    found = score(times)
    np.testing.assert_allclose(found[profile(times, taus).index], integral, atol=1e-3)
    assert score(SECONDS[["a"]].dropna().head(3)).item() == 1  # alone it is the quickest everywhere


def test_a_speed_up_is_the_geometric_mean_over_problems_that_both_solved():
    found = speed_ups(SECONDS, "a")
    assert found["a"] == (pytest.approx(1), 3)
    assert found["b"] == (pytest.approx((1 / 2 * 2 / 2 * 4 / 1) ** (1 / 3)), 3)
    assert found["c"] == (pytest.approx(1 / 3), 1)
    assert math.isnan(speed_ups(pd.DataFrame({"a": [1.0], "b": [INF]}), "a")["b"].mean)


def test_the_reference_is_the_one_asked_for_or_sgd_or_one_that_solved_most():
    scores = pd.DataFrame([[1.0, 2.0, INF]], columns=["kfac[lr=1]", "adam[lr=1]", "sgd"])
    found = Problems({}, "seconds to target", scores, ())
    assert reference_of(found, "adam") == reference_of(found, "adam[lr=1]") == "adam[lr=1]"
    assert reference_of(found) == "sgd"
    assert reference_of(replace(found, scores=scores[["kfac[lr=1]", "adam[lr=1]"]])) == "kfac[lr=1]"
    with pytest.raises(DataError, match=r"no method that was run on every task is called 'adm' \(did you mean 'adam'"):
        reference_of(found, "adm")


def test_methods_have_the_labels_of_the_suite_that_ran_them():
    spec = "kfac[refresh=10,fit=scalar]"
    found = Problems({}, "test figure", pd.DataFrame([[1.0, 2.0]], columns=[spec, "sgd"]), ())
    assert found.labels == {spec: "kfac", "sgd": "sgd"}
    assert replace(found, suites=("reference",)).labels == {spec: "kfac, fit of two numbers", "sgd": "sgd"}


def test_the_table_states_score_and_speed_up():
    records = [one for m, s in (("sgd", 4.0), ("kfac", 2.0)) for one in timed("t", m, s, s)]
    head, _, kfac, sgd, *_ = render_profiles(records, "markdown").splitlines()
    assert [cell.strip() for cell in head.split("|")[-3:-1]] == ["score", "quicker than sgd"]
    assert [cell.strip() for cell in kfac.split("|")[-3:-1]] == ["1.00", "2.00 ×"]
    assert [cell.strip() for cell in sgd.split("|")[-3:-1]] == ["0.67", "1.00 ×"]
    (line, *_) = json.loads(render_profiles(records, "json", "kfac"))
    assert (line["reference"], line["speed_up"], line["speed_up_problems"]) == ("kfac", 1, 2)
    (trace, _) = pictures("profile", records)[0].panels[0].traces
    assert (trace.label, trace.note) == ("kfac", "1.00; 2.00 ×")


def test_groups_of_ranks_are_the_largest_that_nemenyis_test_does_not_tell_apart(rng):
    for _ in range(20):
        scores = rng.normal(size=(12, 6)) + rng.uniform(0, 2) * np.arange(6)
        found = by_test_figure(
            [
                record(f"t{i}", m, test_loss=9 + v)
                for i, row in enumerate(scores)
                for m, v in zip("abcdef", row, strict=True)
            ]
        )
        mean = found.mean.to_numpy()
        every = [(n, m) for n in range(6) for m in range(n + 1, 6) if mean[m] - mean[n] < found.critical]
        largest = [one for one in every if not any(o[0] <= one[0] and one[1] <= o[1] for o in every if o != one)]
        assert groups(found) == (largest if found.p < 0.05 else [])


def test_a_target_met_from_the_start_takes_no_time():
    assert ratios(pd.DataFrame({"a": [0.0], "b": [1.0], "c": [0.0]})).to_numpy().tolist() == [[1, INF, 1]]


def test_the_problems_of_a_profile_are_tasks_at_seeds():
    records = [*timed("t", "a", 1, 2), *timed("t", "b", 2, INF), *timed("u", "a", 3), *timed("u", "b", 3)]
    records += [record("no target", m, test_loss=1.0) for m in "ab"]
    (found,) = timed_problems(records)
    assert found.scores.to_numpy().tolist() == [[1, 2], [2, INF], [3, 3]]
    assert "Share of 3 problems, 2 tasks at each seed" in render_profiles(records, "markdown")


def test_nothing_to_rank_and_nothing_to_profile():
    apart = [record("t", "a", test_loss=1.0), record("u", "b", test_loss=1.0)]
    for records in ([], apart, [record("t", "a", status="crashed")]):
        with pytest.raises(DataError, match="nothing to rank"):
            render_ranking(records, "markdown")
    with pytest.raises(DataError, match="no task here has a target"):
        render_profiles(apart, "markdown")


def test_the_plot(tmp_path):
    pytest.importorskip("matplotlib")
    records = [*timed("t", "a", 1, 2), *timed("t", "b", 2, INF)]
    path = tmp_path / "profile.png"
    save_pictures(pictures("profile", records), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    for wrong in (tmp_path / "profile.xyz", tmp_path / "nowhere" / "profile.png"):
        with pytest.raises(RbenchError, match=f"cannot write the plot to {wrong}"):
            save_pictures(pictures("profile", records), wrong)


def test_without_matplotlib_the_plot_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RbenchError, match=r"pip install 'rbench\[report\]'"):
        save_pictures(pictures("profile", timed("t", "a", 1, 2)), tmp_path / "profile.png")


@pytest.fixture
def call(monkeypatch, tmp_path):
    """`rbench table` in this process, on a directory `run` with two methods on two tasks."""
    monkeypatch.chdir(tmp_path)
    cell = StepTime(suite="step-time", network="4-3", batch_size=2, method="sgd", backend="numpy")
    write_record(tmp_path / "costs", Record(cell=cell, status="ok"))
    records = [one for task in "tu" for method, s in (("a", 1.0), ("b", 2.0)) for one in timed(task, method, s, 3 * s)]
    write_run(tmp_path / "run", records)
    return partial(command.call, "table")


def test_the_command_prints_ranks(call):
    done = call("run", "--ranking")
    assert (done.exit_code, done.stderr) == (0, "")
    head, _, first, second, _, *notes = done.stdout.splitlines()
    assert head.split("|")[2].strip() == "mean rank by seconds to target"
    assert [line.split("|")[1].strip() for line in (first, second)] == ["a", "b"]
    assert notes[-1].startswith("- No test: 2 tasks and 2 methods")


def test_the_command_prints_and_draws_a_profile(call, tmp_path):
    pytest.importorskip("matplotlib")
    done = call("run", "--profile", "profile.png", "--format", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    shares = {(line["method"], line["tau"]): line["rho"] for line in json.loads(done.stdout)}
    assert (shares["a", 1], shares["b", 1.5], shares["b", 2], shares["b", None]) == (1, 0, 1, 1)
    assert (tmp_path / "profile.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("run", "costs", "--ranking"),
            "history, ranks, profile, sensitivity and curves are of training, and these are of step-time",
        ),
        (("costs", "--profile", "p.png"), "these are of step-time"),
        (("run", "--ranking", "--history"), "give one of --history, --ranking, --profile and --sensitivity"),
    ],
)
def test_a_wrong_request_is_one_message_and_status_2(call, words, message):
    done = call(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
