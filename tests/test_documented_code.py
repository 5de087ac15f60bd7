"""Every block of code of the pages is run: Python as it stands, plugins installed where only their own run looks."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from helpers import documentation
from helpers.command import call, run
from helpers.documentation import PAGES
from helpers.plugin_folder import install
from rbench.plugins import NEEDED, one_of, plugins

LANGUAGES = {"", "python", "toml"}
"""`test_documented_commands.py` has those without a language."""

BLOCKS = [block for page in PAGES for block in documentation.blocks(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
PLUGINS = [block for block in PYTHON if "@hookimpl" in block.text]
WRITTEN = [block for block in PLUGINS if block.page in ("docs/plugins.md", "docs/experiments.md")]
TESTS = [block for block in PYTHON if "rbench.testing" in block.text]
EXAMPLES = [block for block in PYTHON if block not in PLUGINS + TESTS]
SMALLER = ("--steps", "40", "--no-memory")


def skip_without_its_framework(block):
    """Skip a block that imports a framework which is not installed here; its page has the framework's name."""
    for name in re.findall(r"^\s*(?:import|from) (torch|jax)\b", block.text, flags=re.MULTILINE):
        assert name in block.page, "the environment of the framework selects tests by its name"
        pytest.importorskip(name)


def test_every_block_is_of_a_language_that_is_run():
    assert {block.language for block in BLOCKS} == LANGUAGES


def test_each_kind_of_plugin_has_an_example():
    hooks = {name for block in PLUGINS for name in re.findall(r"def (rbench_\w+)", block.text)}
    assert hooks == {f"rbench_{kind}" for kind in NEEDED}


def entry_point():
    """The module that the pages name as a plugin's entry point."""
    (entry,) = (tomllib.loads(block.text) for block in BLOCKS if block.language == "toml")
    return entry["project"]["entry-points"]["rbench"]["mine"]


def next_block(block):
    """The block after another on its page."""
    own = documentation.blocks(block.page)
    return own[own.index(block) + 1]


@pytest.mark.parametrize("block", WRITTEN, ids=str)
def test_a_plugin_is_what_rbench_new_writes_and_its_command_works(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RBENCH_PLUGINS", "")
    kind = re.search(r'"my-(\w+)"', block.text)[1]
    done = call("new", kind, f"my-{kind}")
    assert (done.exit_code, Path(f"my_{kind}.py").read_text()) == (0, block.text)
    assert done.stdout == next_block(block).text
    (command,) = documentation.commands(done.stdout)
    # The gate takes long, and `test_own_metric_and_loss.py` has it.
    words = ["list", *command[2:4]] if command[1] == "verify" else command[1:]
    smaller = (*SMALLER, "--seeds", "1") if words[0] == "run" and kind != "experiment" else ()
    done = call(*words, *smaller)
    assert done.exit_code == 0, done.output
    records = [path.read_text() for path in tmp_path.glob("runs/*/cells/*.json")]
    assert f"my-{kind}" in "\n".join([done.stdout, *records])


@pytest.mark.parametrize("block", [block for block in PLUGINS if block not in WRITTEN], ids=str)
def test_the_command_after_another_plugin_works_with_it(block, tmp_path, monkeypatch):
    skip_without_its_framework(block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RBENCH_PLUGINS", "")
    (command,) = documentation.commands(next_block(block).text)
    Path(command[command.index("--plugin") + 1]).write_text(block.text)
    done = call(*command[1:], *SMALLER)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("hook", ["rbench_methods", "rbench_tasks", "rbench_backends"])
def test_a_plugin_is_short(hook):
    (block,) = (block for block in PLUGINS if hook in block.text and block.page == "docs/plugins.md")
    assert len([line for line in block.text.splitlines() if line.strip()]) < 20


def test_the_test_of_a_backend_is_short_and_passes(tmp_path):
    (block,) = TESTS
    (backend,) = (block for block in PLUGINS if "rbench_backends" in block.text)
    assert len([line for line in block.text.splitlines() if line]) == 2
    (tmp_path / "test_mine.py").write_text(block.text)
    env = install(tmp_path, entry_point(), backend.text)
    done = run("-q", "-p", "no:cacheprovider", tmp_path, module="pytest", env=env)
    assert done.code == 0, done.out + done.err
    assert re.search(r"^\d{3,4} passed", done.out, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def beside_a_run(tmp_path_factory):
    """A folder that holds the run of the quickstart, made smaller."""
    folder = tmp_path_factory.mktemp("beside")
    done = run("run", "quick", "-m", "sgd", *SMALLER, "-o", "runs/quick", cwd=folder)
    assert done.code == 0, done.err
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_an_example_runs(block, beside_a_run, monkeypatch, capsys):
    skip_without_its_framework(block)
    monkeypatch.chdir(beside_a_run)
    names = {}
    exec(compile(block.text, str(block), "exec"), names)
    assert capsys.readouterr().out or "direction" in names


@pytest.mark.parametrize(("kind", "more"), [("losses", ()), ("output_metrics", ("your matrix",))])
def test_the_choices_are_those_that_are_registered(kind, more):
    words = [f"`{item.name}`: {item.summary}" for item in plugins().registered(kind).values()]
    assert f"| {one_of(kind)} | {'; '.join([*words, *more])} |\n" in documentation.read("docs/metrics.md")


def test_every_suite_is_in_the_table_of_suites():
    rows = re.findall(r"^\| (`.*`) \|", documentation.read("docs/running.md"), flags=re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]
    assert sorted(listed) == sorted(plugins().registered("suites"))
