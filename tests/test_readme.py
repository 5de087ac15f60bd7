"""The README is short, and its table is what the published records say."""

import csv
from collections import defaultdict
from statistics import median

import pytest

from helpers.documentation import ROOT, read
from rbench.figures import TRAINING
from rbench.spec import parse

README = read("README.md")
MOST_WORDS = 600
TASKS = {"mnist": "test_accuracy", "mnist-autoencoder": "test_squared_error"}
OTHERS = ("step_ratio_to_sgd", "seconds_to_target")
UNITS = {figure.name: figure.unit for figure in TRAINING}
LINES = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line.startswith("| `")
]


def name(spec):
    """What the README calls a method of the suite `reference`; None where it leaves it out."""
    method, settings = parse(spec)
    if method == "riemannian" and settings.get("mass") == "kronecker":
        at_hand = settings.get("rows") is not False or "metric_batch" in settings
        return None if at_hand else "`kfac[fit=layers]`"  # the same method
    if method == "riemannian":
        return "`riemannian`, `ggn_mc`" if settings["output_metric"] == "ggn_mc" else None
    return f"`{method}[fit={settings['fit']}]`" if "fit" in settings else f"`{method}`"


@pytest.fixture(scope="module")
def published():
    """Figures over seeds, by task, name of the method and figure."""
    found = defaultdict(list)
    with (ROOT / "results/reference.csv").open() as file:
        for row in csv.DictReader(file):
            for figure in (TASKS.get(row["task"]), *OTHERS):
                if figure is not None:
                    found[row["task"], name(row["method"]), figure].append(float(row[figure]))
    return found


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_a_line_has_the_medians_of_the_records(line, published):
    wanted = [(task, figure) for task, first in TASKS.items() for figure in (first, *OTHERS)]
    assert all(len(published[task, line[0], figure]) == 3 for task, figure in wanted)
    medians = [UNITS[figure].write(median(published[task, line[0], figure])) for task, figure in wanted]
    assert line[1:] == medians


def test_every_method_of_both_tasks_has_a_line(published):
    named = {method for task, method, _ in published if task in TASKS and method is not None}
    assert {line[0] for line in LINES} == named


def test_it_has_at_most_600_words():
    assert len(README.split()) <= MOST_WORDS


def test_it_begins_with_the_two_commands():
    assert README.index("pip install . && rbench run\n") < README.index("pip install tox && tox run-parallel\n")
