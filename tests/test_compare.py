"""`rbench compare`: verdicts on runs made by hand, and the statuses and words of the command."""

import csv
import io
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from helpers import command
from helpers.faults import write_run
from rbench.cost import StepTime
from rbench.errors import SpecError
from rbench.report.compare import compare
from rbench.run import Budget, Record, Training
from rbench.run.record import write_record

INF = math.inf
MACHINE = {"cpu": "Abacus", "rbench": "1.0", "libraries": {"numpy": "2.0"}}


def record(seed=0, status="ok", method="sgd", reason=None, provenance=MACHINE, budget=5, **figures):
    """A record; a run that died knows no device."""
    cell = Training(suite="s", task="digits", method=method, backend="numpy", seed=seed, budget=Budget(steps=budget))
    known = {"device": "cpu", "dataset_sha256": "ab" * 32} if status == "ok" else {}
    return Record(cell=cell, status=status, reason=reason, figures=known | figures, provenance=provenance)


def run(figure, *values, **settings):
    """A record a seed."""
    return [record(seed, **{figure: value}, **settings) for seed, value in enumerate(values)]


def change(a, b, figure, threshold=1.1):
    (found,) = compare(a, b, [figure], threshold)
    return found


STEADY, SHAKEN = np.array([1.0, 1.02, 0.99]), np.array([0.6, 1.0, 1.6])


@pytest.mark.parametrize("figure", ["step_ratio_to_sgd", "test_loss", "peak_host_bytes", "train_seconds"])
@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.5 * STEADY, "worse"),
        (STEADY / 1.5, "better"),
        (1.06 * STEADY, "within"),
        (STEADY / 1.06, "within"),
        (STEADY, "noise"),
        (1.3 * SHAKEN, "noise"),
        (np.ones(3), "noise"),
        (np.full(3, 1.2), "worse"),
    ],
)
def test_a_verdict_takes_the_threshold_and_the_noise(figure, factor, verdict):
    a = np.array([2.0, 20.0, 200.0])
    found = change(run(figure, *a), run(figure, *(a * factor)), figure)
    assert (found.verdict, found.pairs) == (verdict, 3)
    assert found.ratio.middle == pytest.approx(stats.gmean(factor))
    assert (found.a, found.b) == pytest.approx((20.0, np.median(a * factor)))
    assert found.fails == (verdict == "worse")


def test_the_verdict_goes_as_noise_grows():
    a = np.array([2.0, 3.0, 4.0])
    noise = np.array([-1.0, 0.2, 0.8])
    shaken = [1.5 * a * np.exp(scale * noise) for scale in (0, 0.05, 0.1, 0.5, 1)]
    verdicts = [change(run("test_loss", *a), run("test_loss", *b), "test_loss").verdict for b in shaken]
    assert verdicts == ["worse", "worse", "worse", "noise", "noise"]


def test_the_threshold_is_the_users():
    a, b = run("test_loss", 1, 2, 3), run("test_loss", *(1.06 * STEADY * [1, 2, 3]))
    verdicts = [change(a, b, "test_loss", threshold).verdict for threshold in (1, 1.05, 1.1)]
    assert verdicts == ["worse", "worse", "within"]


@pytest.mark.parametrize(
    ("figure", "b", "verdict"),
    [
        ("test_loss", 2.5, "worse"),
        ("test_loss", 2.3, "within"),
        ("test_loss", 1.6, "better"),
        ("peak_device_bytes", 2.5, "worse"),
        ("step_ratio_to_sgd", 20.0, "unknown"),
        ("train_seconds", 20.0, "unknown"),
    ],
)
def test_of_one_pair_only_what_a_repeat_gives_again_is_judged(figure, b, verdict):
    found = change(run(figure, 2.0), run(figure, b), figure)
    assert found.verdict == verdict
    assert math.isnan(found.ratio.low)


def test_accuracies_are_compared_by_their_errors():
    found = change(run("test_accuracy", 0.98, 0.981, 0.979), run("test_accuracy", 0.96, 0.961, 0.959), "test_accuracy")
    assert (found.verdict, found.a, found.b) == ("worse", 0.98, 0.96)
    assert found.ratio.middle == pytest.approx(2, rel=0.01)


def test_a_target_that_is_no_longer_reached():
    a = run("seconds_to_target", 1.0, 2.0, target_reached=True)
    missed = [record(seed, target_reached=False) for seed in range(2)]
    assert change(a, missed, "seconds_to_target").verdict == "worse"
    assert change(missed, a, "seconds_to_target").verdict == "better"
    assert change(a, [a[0], missed[1]], "seconds_to_target").verdict == "noise"
    assert change(missed, missed, "seconds_to_target").ratio.middle == 1


def test_seeds_are_paired_and_those_of_one_run_do_not_count():
    a, b = run("test_loss", 1.0, 10.0, 100.0, 7.0), run("test_loss", 1.3, 13.1, 129.0)
    status, loss = compare(a, b, ["test_loss"], 1.1)
    assert (loss.verdict, loss.pairs) == ("worse", 3)
    assert (status.verdict, status.reason) == ("lost", "seed 3 missing")


def test_the_order_of_records_changes_nothing():
    a = [*run("test_loss", 1.0, 2.0, 3.0), *run("test_loss", 4.0, 5.0, 6.0, method="adam")]
    b = [*run("test_loss", 1.4, 2.9, 4.1), *run("test_loss", 4.1, 4.9, 6.1, method="adam")]
    found = {str(change.line()) for change in compare(a, b, (), 1.1)}
    for seed in range(5):
        mixed = [[records[i] for i in np.random.default_rng(seed).permutation(6)] for records in (a, b)]
        assert {str(change.line()) for change in compare(*mixed, (), 1.1)} == found


def test_seconds_are_compared_only_when_asked_for():
    a = [record(step_seconds=1.0, train_seconds=1.0, seconds_to_target=1.0, step_ratio_to_sgd=1.0, test_loss=1.0)]
    assert [found.figure for found in compare(a, a, (), 1.1)] == ["step_ratio_to_sgd", "test_loss"]
    assert [found.figure for found in compare(a, a, ["train_seconds"], 1.1)] == ["train_seconds"]


@pytest.mark.parametrize(
    ("b", "names", "threshold", "words"),
    [
        (run("test_loss", 1.0, method="adam"), (), 1.1, "no cell in common.*suite, task, method"),
        (run("test_loss", 1.0, budget=6), (), 1.1, "no cell in common"),
        ([], (), 1.1, "no cell in common"),
        (run("train_loss", 1.0), (), 1.1, "no cell ended ok in both runs with one of .*test_loss"),
        (run("test_loss", 1.0), ["speed"], 1.1, "no figure to compare here is called speed; there are: .*seconds"),
        (run("test_loss", 1.0), (), 0.9, "threshold 0.9: .* 1 or more"),
        (run("test_loss", 1.0), (), INF, "threshold inf"),
        (run("test_loss", 1.0), (), math.nan, "threshold nan"),
    ],
)
def test_what_cannot_be_compared_is_refused(b, names, threshold, words):
    with pytest.raises(SpecError, match=words):
        compare(run("test_loss", 1.0), b, names, threshold)


def cost(middle, low, high, method="sgd", status="ok", reason=None, **figures):
    cell = StepTime(suite="step-time", network="4-3-2", batch_size=8, method=method, backend="numpy")
    if status == "ok":
        figures |= {"device": "cpu", "step_ratio_to_sgd": middle, "step_ratio_low": low, "step_ratio_high": high}
    return Record(cell=cell, status=status, reason=reason, figures=figures)


@pytest.mark.parametrize(
    ("b", "verdict"),
    [((3, 2.6, 3.5), "worse"), ((3, 2.4, 3.5), "noise"), ((1, 0.9, 1.4), "better"), ((2.7, 2.6, 3.5), "worse")],
)
def test_of_costs_quartiles_must_not_overlap(b, verdict):
    (found,) = compare([cost(2, 1.5, 2.5)], [cost(*b)], (), 1.1)
    assert (found.verdict, found.pairs) == (verdict, 1)
    assert found.ratio[:3] == pytest.approx((b[0] / 2, b[1] / 2.5, b[2] / 1.5))


def test_costs_are_matched_by_what_they_are_of():
    a = [cost(2, 1.5, 2.5), cost(4, 3, 5, method="adam"), cost(1, 1, 1, method="kfac")]
    b = [cost(2, 1.5, 2.5, method="new"), cost(4, 3, 5, method="adam"), cost(0, 0, 0, "sgd", "crashed", "boom")]
    found = {(change.row["method"], change.figure): change for change in compare(a, b, (), 1.1)}
    assert found.keys() == {("sgd", "status"), ("adam", "step_ratio_to_sgd"), ("kfac", "status")}
    assert (found["sgd", "status"].reason, found["kfac", "status"].reason) == ("crashed: boom", "missing")
    assert found["adam", "step_ratio_to_sgd"].ratio.middle == 1


def test_memory_of_costs_is_compared_without_quartiles():
    a, b = ([cost(2, 1.5, 2.5, peak_host_bytes=size)] for size in (1000, 1300))
    found = {change.figure: change.verdict for change in compare(a, b, (), 1.1)}
    assert found == {"step_ratio_to_sgd": "noise", "peak_host_bytes": "worse"}


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run the command in this process, on directories A and B with the records given."""
    monkeypatch.chdir(tmp_path)

    def compare(a, b, *words):
        for name, records in (("A", a), ("B", b)):
            write_run(tmp_path / name, records)
        return command.call("compare", "A", "B", *words)

    return compare


SAME = run("test_loss", 1.0, 2.0, 3.0)
WHERE = "digits sgd numpy cpu float32 threads 1 5 steps:"
STATUSES = {
    "same": (SAME, 0, "Nothing is worse."),
    "worse": (run("test_loss", 1.5, 3.1, 4.4), 1, f"WORSE {WHERE} test loss 1.5"),
    "better": (run("test_loss", 0.5, 1.1, 1.4), 0, "Nothing is worse."),
    "lost": ([*SAME[:2], record(2, "crashed", reason="boom")], 1, f"LOST {WHERE} seed 2 crashed: boom"),
    "all lost": ([record(seed, "diverged", reason="nan") for seed in range(3)], 1, "seed 0 diverged: nan; seed 1"),
    "missing": (SAME[:2], 1, f"LOST {WHERE} seed 2 missing"),
    "more": ([*SAME, *run("test_loss", 9.0, method="adam")], 0, "Nothing is worse."),
}


@pytest.mark.parametrize("case", STATUSES)
def test_the_exit_status(call, case):
    b, status, words = STATUSES[case]
    done = call(SAME, b)
    assert (done.exit_code, done.stderr) == (status, "")
    assert words in done.stdout


def test_what_failed_before_may_fail_again(call):
    failed = record(9, "diverged", reason="nan", method="adam")
    assert call([*SAME, failed], [*SAME, failed]).exit_code == 0


def test_the_table_and_its_notes(call):
    a, b = (
        [*run("test_loss", *losses, step_ratio_to_sgd=1.0), *run("test_loss", 5.0, 6.0, method="adam")]
        for losses in ((1.0, 2.0, 3.0), (1.5, 3.1, 4.4))
    )
    b = [*b[:-1], record(1, "timeout", method="adam", reason="10m")]
    lines = call(a, b).stdout.splitlines()
    cells = [[part.strip() for part in line.strip("|").split("|")] for line in (lines[0], *lines[2:4])]
    assert cells[0] == ["task", "method", "step / SGD", "test loss", "status"]
    assert cells[1][:3] == ["digits", "sgd", "1.00"]
    assert cells[1][3].startswith("!1.51 (1.4")
    assert cells[2] == ["digits", "adam", "–", "1.00 (n/a)", "!seed 1 timeout: 10m"]


def test_runs_of_two_experiments_are_one_table(call):
    done = call([*SAME, cost(2, 1.5, 2.5)], [*SAME, cost(3, 2.6, 3.5)])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    cells = [[part.strip() for part in line.strip("|").split("|")] for line in (lines[0], *lines[2:4])]
    found = [dict(zip(cells[0], line, strict=True)) for line in cells[1:]]
    assert [(line["task"], line["network"], line["test loss"]) for line in found] == [
        ("digits", "", "1.00"), ("", "4-3-2", "–"),
    ]  # fmt: skip


def test_one_seed_has_no_verdict_on_time(call):
    done = call(run("step_ratio_to_sgd", 1.0), run("step_ratio_to_sgd", 9.0))
    assert done.exit_code == 0
    assert "9.00 (n/a)" in done.stdout
    assert "No verdict on step / SGD where there is one pair" in done.stdout


def test_csv_and_json_hold_every_verdict(call):
    b = run("test_loss", 1.5, 2.3)
    lines = json.loads(call(SAME, b, "--json").stdout, parse_constant=pytest.fail)
    assert [(line["method"], line["figure"], line["verdict"], line["reason"]) for line in lines] == [
        ("sgd", "status", "lost", "seed 2 missing"), ("sgd", "test_loss", "noise", None),
    ]  # fmt: skip
    assert lines[1]["ratio_low"] < lines[1]["ratio"] < lines[1]["ratio_high"]
    assert (lines[1]["a"], lines[1]["b"], lines[1]["pairs"]) == (1.5, 1.9, 2)
    found = list(csv.DictReader(io.StringIO(call(SAME, b, "--format", "csv").stdout)))
    assert [line["verdict"] for line in found] == ["lost", "noise"]
    for form in ("latex", "html"):
        assert "seed 2 missing" in call(SAME, b, "--format", form).stdout


def test_what_differs_between_the_machines_is_named(call):
    other = {"cpu": "Babbage", "rbench": "2.0", "commit": {"id": "c"}, "libraries": {"numpy": "2.5", "torch": "2.5"}}
    b = run("test_loss", 1.0, 2.0, 3.0, provenance=other, dataset_sha256="cd" * 32)
    assert call(SAME, b).stderr.splitlines() == [
        "rbench: made differently, cpu: Abacus → Babbage",
        "rbench: made differently, libraries.numpy: 2.0 → 2.5",
        f"rbench: made differently, data of digits: sha256 {'ab' * 8}… → sha256 {'cd' * 8}…",
    ]


def test_wrong_requests_are_one_message_and_status_2(call, tmp_path):
    (tmp_path / "empty").mkdir()
    write_record(tmp_path / "costs", cost(1.0, 1.0, 1.0))
    assert call(SAME, SAME).exit_code == 0
    for words, message in {
        ("A", "empty"): "empty holds no run",
        ("nowhere", "A"): "nowhere holds no run",
        ("A", "costs"): "no cell in common: one is of training and the other of step-time",
        ("A", "B", "--figure", "speed"): "no figure to compare here is called speed",
        ("A", "B", "--threshold", "0.5"): "threshold 0.5",
    }.items():
        done = command.call("compare", *words)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("rbench: ")
        assert message in done.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two runs of tiny cases that measure costs, the second with one method less."""
    folder = tmp_path_factory.mktemp("compare")
    words = ["run", "step-time", "-t", "16-8-4", "--batch-size", "8", "--threads", "1", "-m", "sgd"]
    for name, more in (("A", ["-m", "adam"]), ("B", [])):
        done = command.call(*words, *more, "-o", folder / name)
        assert done.exit_code == 0, done.output
    return SimpleNamespace(a=folder / "A", b=folder / "B")


def test_runs_that_measure_costs(measured):
    done = command.call("compare", measured.a, measured.b)
    assert done.exit_code == 1
    assert "LOST 16-8-4 batch_size 8 adam[lr=0.001] numpy cpu float32 threads 1: missing" in done.stdout
    done = command.call("compare", measured.b, measured.b, "--json", "-f", "step_seconds")
    (line,) = json.loads(done.stdout)
    assert (done.exit_code, done.stderr) == (0, "")
    assert (line["method"], line["figure"], line["ratio"], line["verdict"]) == (
        "sgd[lr=0.1]", "step_seconds", 1.0, "noise",
    )  # fmt: skip
