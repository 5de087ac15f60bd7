"""The README's examples run as they stand, each plugin installed where only its own run looks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
PLUGINS = {re.search(r"def rbench_(\w+)", block).group(1): block for block in BLOCKS if "hookimpl" in block}
USES = {
    "methods": ("-m", "sign-sgd[lr=0.01]"),
    "tasks": ("-t", "parity", "-m", "adam[lr=0.03]"),
    "backends": ("-b", "numpy-linalg", "-m", "kfac"),
}


def test_each_kind_of_plugin_has_an_example():
    assert sorted(PLUGINS) == sorted(USES)


@pytest.mark.parametrize("kind", USES)
def test_a_plugin_example_is_short_and_runs(kind, tmp_path):
    code = [line for line in PLUGINS[kind].splitlines() if line.strip()]
    assert len(code) < 20
    (entry,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    (module,) = re.findall(r'mine = "(\w+)"', entry)
    (tmp_path / f"{module}.py").write_text(PLUGINS[kind])
    info = tmp_path / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[rbench]\nmine = {module}\n")
    asked = (*USES[kind], *(() if kind == "tasks" else ("-t", "digits[hidden=[8]]")))
    done = subprocess.run(
        [sys.executable, "-m", "rbench.cli", "run", *asked, "--steps", "40", "-o", str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert USES[kind][-1] in done.stdout


def test_the_python_example_runs():
    (block,) = (block for block in BLOCKS if "hookimpl" not in block)
    names = {}
    exec(block, names)
    shapes = [{key: array.shape for key, array in part.items()} for part in names["direction"]]
    assert shapes == [{"weight": (16, 20), "bias": (16,)}, {"weight": (5, 16), "bias": (5,)}]


def test_the_commands_exist():
    from typer.testing import CliRunner

    from rbench.cli import app

    (block,) = (b for b in re.findall(r"```\n(.*?)```", README, flags=re.DOTALL) if "rbench run mnist" in b)
    for line in block.splitlines():
        command = line.split()[1]
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, line
