"""The README's examples run as they stand, each plugin installed where only its own run looks."""

import re
from pathlib import Path

import pytest

from helpers.command import call, run
from helpers.plugin_folder import install
from rbench.plugins import one_of, plugins

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
PLUGINS = {re.search(r"def rbench_(\w+)", block).group(1): block for block in BLOCKS if "hookimpl" in block}
USES = {
    "methods": ("-m", "sign-sgd[lr=0.01]"),
    "tasks": ("-t", "parity", "-m", "adam[lr=0.03]"),
    "backends": ("-b", "numpy-scipy", "-m", "kfac"),
}


def test_each_kind_of_plugin_has_an_example():
    assert sorted(PLUGINS) == sorted(USES)


@pytest.mark.parametrize(("kind", "more"), [("losses", ()), ("output_metrics", ("your matrix",))])
def test_the_choices_are_those_that_are_registered(kind, more):
    words = [f"`{item.name}`: {item.summary}" for item in plugins().registered(kind).values()]
    assert f"| {one_of(kind)} | {'; '.join([*words, *more])} |\n" in README


def installed(kind, folder):
    """Install a plugin example as the module that the README's entry point names; the environment to use it."""
    (entry,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    (module,) = re.findall(r'mine = "(\w+)"', entry)
    return install(folder, module, PLUGINS[kind])


@pytest.mark.parametrize("kind", USES)
def test_a_plugin_example_is_short_and_runs(kind, tmp_path):
    code = [line for line in PLUGINS[kind].splitlines() if line.strip()]
    assert len(code) < 20
    asked = (*USES[kind], *(() if kind == "tasks" else ("-t", "digits[hidden=[8]]")))
    done = run("run", *asked, "--steps", 40, "-o", tmp_path / "run", env=installed(kind, tmp_path))
    assert done.code == 0, done.out + done.err
    assert USES[kind][-1] in done.out


def test_the_test_of_a_backend_is_short_and_passes(tmp_path):
    (block,) = (block for block in BLOCKS if "equivalence_tests" in block)
    assert len(block.split("\n\n")) == 2
    (tmp_path / "test_mine.py").write_text(block)
    env = installed("backends", tmp_path)
    done = run("-q", "-p", "no:cacheprovider", tmp_path, module="pytest", env=env)
    assert done.code == 0, done.out + done.err
    assert re.search(r"^\d{3,4} passed", done.out, flags=re.MULTILINE)


def test_the_python_example_runs():
    (block,) = (block for block in BLOCKS if "riemannian_gradient" in block)
    names = {}
    exec(block, names)
    shapes = [{key: array.shape for key, array in part.items()} for part in names["direction"]]
    assert shapes == [{"weight": (16, 20), "bias": (16,)}, {"weight": (5, 16), "bias": (5,)}]


def test_the_commands_exist():
    blocks = re.findall(r"```\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("rbench ")]
    assert len(lines) > 5
    for line in lines:
        assert call(line.split()[1], "--help").exit_code == 0, line
