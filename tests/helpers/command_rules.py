"""What is asked of a command of the pages: to be read by its own parser, planned, or run with sample runs."""

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer

from helpers import documentation
from helpers.command import call
from helpers.documentation import ROOT
from rbench.cli import app
from rbench.plugins import plugins
from rbench.spec import parse

STANDS_FOR = {"runs/theory": "action", "runs/action": "action", "runs/sensitivity": "sensitivity"}
"""The sample run that stands for a directory of the pages, where it is not `quick`."""


def parsed(words):
    """The parameters of a command of `rbench`, as its own parser reads them; nothing is run."""
    command = typer.main.get_command(app)
    name, *rest = words[1:]
    context = command.commands[name].make_context(name, list(rest)) if name in command.commands else None
    assert context is not None, f"rbench has no command {name!r}"
    return context.params


def is_read(words, *_):
    """The command line takes it."""
    for spec in as_many(parsed(words).get("backend")):
        assert parse(spec)[0] in plugins().registered("backends")


def as_many(value):
    """What an option that may be repeated holds, as a list."""
    return [value] if isinstance(value, str) else list(value or ())


def is_planned(words, samples, monkeypatch, tmp_path):
    """Its cells are made and checked, on NumPy in place of backends that no method needs; none is run.

    Small images with labels, which every network and loss takes, stand for the files of a user.
    """
    is_read(words)
    monkeypatch.chdir(tmp_path)
    for file in re.findall(r"npz\[path=([^],]+)", " ".join(words)):
        np.savez(file, x=np.zeros((60, 3, 8, 8)), y=np.arange(60) % 3)
    here = without(words, "--device", "--tuned")
    methods = [plugins().find("methods", parse(spec)[0]) for spec in as_many(parsed(words).get("method"))]
    bound = [method for method in methods if method.backends]
    for package in {name for method in bound for name in (*method.backends, method.name.partition(".")[0])}:
        pytest.importorskip(package)
    here = here if bound else without(here, "-b", "--backend")
    done = call(*here[1:], *(["--dry-run"] if "--dry-run" not in here else []))
    assert done.exit_code == 0, done.output
    assert re.search(r"^(cells|trials): [1-9]", done.output, flags=re.MULTILINE)


def without(words, *options):
    """Words without some options and their values."""
    return [word for word, before in zip(words, ["", *words], strict=False) if not {word, before} & set(options)]


def is_run(words, samples, monkeypatch, tmp_path):
    """It ends well, with sample runs in place of the directories that it names."""
    is_read(words)
    for package in ("itables", "plotly") if words[1] == "report" else ():
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    for word in words:
        if word.startswith("runs/"):
            shutil.copytree(samples / STANDS_FOR.get(word, "quick"), word, dirs_exist_ok=True)
    for file in without(words, "-o"):
        if file.endswith(".zip"):
            assert call("bundle", samples / "quick", "-o", file).exit_code == 0
    if "paper.md" in words:
        shutil.copytree(samples / "quick", "runs/mnist", dirs_exist_ok=True)
        Path("paper.md").write_text("<!-- rbench table NAME -->\n<!-- /rbench table NAME -->\n")
        assert call("table", "runs/mnist", "--update", "paper.md", "--marker", "NAME").exit_code == 0
    done = call(*words[1:])
    assert done.exit_code == 0, done.output
    assert done.output or any(tmp_path.glob("*.*"))


def are_extras(words, *_):
    """What is asked of the project are extras that it has; all else is of other projects."""
    extras = tomllib.loads(documentation.read("pyproject.toml"))["project"]["optional-dependencies"]
    for word in words[2:]:
        assert set(re.findall(r"(?:rbench|\.)\[(\w+)\]", word)) <= set(extras)
        assert word in (".", "-e", "tox") or re.match(r"(rbench|\.)\[", word), word


def is_an_environment(words, *_):
    """The environments of tox that it names are there."""
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    assert words[1] in ("run-parallel", "-e")
    assert words[1] != "-e" or f"testenv:{words[2]}" in tox


def is_of_dask(words, samples, monkeypatch, tmp_path):
    """Dask's command takes its options, beside the files that they name."""
    pytest.importorskip("distributed")
    from distributed.cli import dask_scheduler, dask_worker

    monkeypatch.chdir(tmp_path)
    for word in words:
        if word.endswith((".pem", ".key")):
            Path(word).touch()
    command = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[words[1]]
    command.make_context(words[1], list(words[2:]))


def is_a_job(words, *others):
    """What Slurm is asked to run is a command of Dask's, on every node."""
    wrapped = shlex.split(words[words.index("--wrap") + 1])
    assert wrapped[0] == "srun"
    is_of_dask(wrapped[1:], *others)


def is_a_script(words, *_):
    """The script is there and is Python."""
    path = ROOT / words[1]
    compile(path.read_text(), path, "exec")


def is_a_page(words, *_):
    """The script has commands for the page."""
    assert words[2] in tomllib.loads(documentation.read("results/remake.toml"))


def makes_certificates(words, samples, monkeypatch, tmp_path):
    """The commands of its block, together, make certificates that belong to the authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (block,) = (block for block in documentation.blocks("docs/clusters.md") if "openssl req -x509" in block.text)
    subprocess.run(["bash", "-e", "-c", block.text], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["openssl", "verify", "-CAfile", "ca.pem", "rbench.pem"], cwd=tmp_path, check=True)


RULES = {
    "rbench new": is_run,
    "rbench list": is_run,
    "rbench table": is_run,
    "rbench plot": is_run,
    "rbench compare": is_run,
    "rbench report": is_run,
    "rbench bundle": is_run,
    "rbench reproduce": is_run,
    "rbench merge": is_read,  # into a directory that is not there
    "rbench data list": is_run,
    "rbench data": is_read,  # needs a network, and files that only a download brings
    "rbench verify -b numpy --short": is_run,
    "rbench verify": is_read,  # of frameworks and GPUs that have environments of their own
    "rbench run": is_planned,  # minutes to hours, downloads, clusters: the quickstart's are run below
    "rbench run quick -t digits -b": is_read,  # needs peers: planned where they are, by tests/peers/test_page.py
    "rbench tune": is_planned,
    "pip install": are_extras,
    "pre-commit install": lambda *_: documentation.read(".pre-commit-config.yaml"),
    "tox": is_an_environment,
    "dask": is_of_dask,
    "sbatch": is_a_job,
    "python results/remake.py": is_a_page,
    "python benchmarks/": is_a_script,  # minutes, and frameworks
    "openssl req -x509": makes_certificates,
    "openssl": lambda *_: None,  # with the one before
    "chmod 600 ca.key rbench.key": lambda *_: None,
}
"""What is asked of a command, by its beginning; of several the longest counts."""


def rule(words):
    """The beginning of a command that counts, or None."""
    return max((one for one in RULES if shlex.join(words).startswith(one)), key=len, default=None)
