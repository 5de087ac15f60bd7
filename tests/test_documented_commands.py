"""Every command of the pages: parsed by the command line itself, and run where that is cheap; none is left out."""

import re
import shlex

import pytest

from helpers import documentation
from helpers.command import call, run
from helpers.command_rules import RULES, rule, without
from helpers.documentation import PAGES

OF_A_FRAMEWORK = {"docs/from-torch.md"}
"""Pages whose commands need a framework: `test_documented_code.py` runs them."""

FOUND = {
    (page, shlex.join(command)): command
    for page in PAGES
    if page not in OF_A_FRAMEWORK
    for block in documentation.blocks(page)
    if block.language == ""
    for command in documentation.commands(block.text)
}
SAMPLES = {
    "quick": ("quick", "-m", "sgd", "-m", "adam", "--seeds", 2, "--epochs", 3),
    "action": ("action", "-t", "tanh[metric=none,mass=1]", "-m", "euler"),
    "sensitivity": ("sensitivity", "-t", "digits[hidden=[4]]", "-m", "sgd", "--points", 8, "--epochs", 1),
}
"""Runs that stand for those of the pages, which take minutes to hours."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A folder with the sample runs, made once."""
    folder = tmp_path_factory.mktemp("samples")
    for name, words in SAMPLES.items():
        done = run("run", *words, "--no-memory", "-o", folder / name)
        assert done.code == 0, done.err
    return folder


def test_every_command_has_a_rule_and_every_rule_a_command():
    rules = {key: rule(command) for key, command in FOUND.items()}
    assert [key for key, found in rules.items() if found is None] == []
    assert set(rules.values()) == set(RULES)


@pytest.mark.parametrize(("page", "line"), [pytest.param(*key, id=" ".join(key)) for key in FOUND])
def test_a_command_is_what_its_rule_asks(page, line, samples, monkeypatch, tmp_path):
    words = FOUND[page, line]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RBENCH_PLUGINS", "")
    for kind in re.findall(r"my_(\w+)\.py", line):
        assert call("new", kind, f"my-{kind}").exit_code == 0
    RULES[rule(words)](words, samples, monkeypatch, tmp_path)


SPANS = {
    (page, re.sub(r"\s+", " ", span))
    for page in PAGES
    for span in re.findall(r"`(rbench [^`]+)`", documentation.prose(page))
    if "…" not in span
}


@pytest.mark.parametrize(("page", "span"), sorted(SPANS))
def test_a_command_in_a_sentence_exists_with_its_options(page, span):
    done = call(*shlex.split(span)[1:], "--help")  # a sentence leaves out what the reader fills in
    assert done.exit_code == 0, done.output


SMALLER = ("--steps", "2", "--no-memory")


def quickstart(command):
    """The quickstart's commands of a kind, without what makes them long or asks for a framework."""
    found = [words for (page, _), words in FOUND.items() if page == "docs/quickstart.md" and words[1] == command]
    return [without(words, "--epochs", "--seeds", "--trials", "-b") for words in found]


@pytest.mark.parametrize("words", quickstart("run"), ids=shlex.join)
def test_the_runs_of_the_quickstart_end_well(words, tmp_path):
    done = run(*words[1:], *SMALLER, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "records: runs/" in done.out + done.err


def test_the_tune_of_the_quickstart_ends_well(tmp_path):
    pytest.importorskip("optuna")
    (words,) = quickstart("tune")
    few = ("--trials", 2, "--seeds", 1, "--confirmations", 0, "--steps", 2)
    done = run(*words[1:], *few, cwd=tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "runs/tune/tuned.json").is_file()
