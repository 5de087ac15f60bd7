"""An experiment of a plugin is run, killed, resumed, set aside where damaged, and tabled like those of rbench."""

import json
import os
import signal
import time
from functools import partial
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import command
from helpers.plugin_folder import install, source
from helpers.registered import registered
from helpers.toy_experiment import PartialSum, Sums


@pytest.fixture(scope="module")
def rbench(tmp_path_factory):
    """The command, where the plugin is installed; `start` returns the process at once."""
    folder = tmp_path_factory.mktemp("plugin")
    env = install(folder, "rbench_sums", source("toy_experiment"))
    run, start = partial(command.run, env=env), partial(command.start, env=env)
    return SimpleNamespace(run=run, start=start, folder=folder, env=env)


@pytest.fixture(scope="module")
def sums(rbench, tmp_path_factory):
    """The directory of a run."""
    (rbench.folder / "go").touch()
    directory = tmp_path_factory.mktemp("runs") / "sums"
    assert rbench.run("run", "sums", "-o", directory).code == 1
    (rbench.folder / "go").unlink()
    return directory


def rows(rbench, directory):
    return json.loads(rbench.run("table", directory, "--format", "json").out)


def test_it_is_killed_and_goes_on_like_any_other(rbench, tmp_path):
    directory = tmp_path / "run"
    words = ("run", "sums", "-o", directory)
    process = rbench.start(*words)
    while len(list(rbench.folder.glob("pid-*"))) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(rows(rbench, directory)) == 2
    (rbench.folder / "go").touch()
    done = rbench.run(*words)
    assert done.code == 1, done.err
    assert "cells from an earlier run: 2; to run: 2" in done.err
    assert "partial-sum 0 numpy: crashed, ValueError: a sum needs a term" in done.err
    assert "crashed: " not in done.out.partition("a sum needs a term")[2]
    by_terms = {row["terms"]: row for row in rows(rbench, directory)}
    for terms in (10, 100, 1000):
        assert by_terms[terms]["total"] == pytest.approx(np.sum(1 / np.arange(1, terms + 1) ** 2), rel=1e-6)
    assert (by_terms[0]["status"], by_terms[0]["total"]) == ("crashed", None)


def test_a_damaged_record_is_set_aside_and_made_again(rbench, sums, tmp_path):
    directory = copytree(sums, tmp_path / "run")
    (path,) = (directory / "cells").glob("partial-sum--100--*.json")
    path.write_text(path.read_text().replace('"terms": 100', '"terms": 101'))
    done = rbench.run("run", "sums", "-o", directory)
    assert "is damaged: it is now" in done.err
    assert "cells from an earlier run: 2; to run: 2" in done.err


@pytest.fixture
def here():
    """The plugin in this process, too."""
    with registered(experiments=[PartialSum], suites=[Sums()]):
        yield


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html", "json"])
def test_every_form_of_its_table(sums, form):
    done = command.call("table", sums, "--format", form)
    assert (done.exit_code, done.stderr) == (0, "")
    for words in ("terms", "total", "1.6", "crashed"):
        assert words in done.stdout


@pytest.mark.usefixtures("here")
def test_two_runs_of_it_are_compared(rbench, sums, tmp_path, monkeypatch):
    (rbench.folder / "go").touch()
    monkeypatch.setitem(rbench.env, "SUMS_FACTOR", "2")
    rbench.run("run", "sums", "-o", tmp_path / "twice")
    same = command.call("compare", sums, sums)
    assert (same.exit_code, "Nothing is worse." in same.stdout) == (0, True), same.stderr
    worse = command.call("compare", sums, tmp_path / "twice")
    assert worse.exit_code == 1
    assert worse.stdout.count("WORSE") == 3
    assert "total 2.00" in worse.stdout


def test_the_experiment_of_the_documentation_is_run(tmp_path, monkeypatch):
    monkeypatch.setenv("RBENCH_PLUGINS", "")
    file = tmp_path / "mine.py"
    assert command.call("new", "experiment", "my-experiment", "-o", file).exit_code == 0
    done = command.call("run", "my-experiment", "--plugin", file, "-o", tmp_path / "run", "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["terms"] for row in rows] == [1_000, 1_000_000]
    assert all(0 <= row["relative_error"] < 1e-5 for row in rows)
    assert any(row["relative_error"] > 0 for row in rows)  # float32


def test_records_of_an_experiment_that_is_not_installed_are_left_as_they_are(sums, tmp_path):
    directory = copytree(sums, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (directory / "cells").iterdir()}
    for words in (("table", directory), ("run", "-t", "digits", "-m", "sgd", "--steps", "1", "-o", directory)):
        done = command.run(*words)
        assert "no experiment is called 'partial-sum'" in done.err
        assert "Traceback" not in done.err
    assert {path.name: path.read_bytes() for path in (directory / "cells").iterdir()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [(("-m", "sgd"), "has no use for"), (("-t", "digits"), "has no use for"), (("-b", "nope"), "no backend is called")],
)
@pytest.mark.usefixtures("here")
def test_options_that_mean_nothing_to_it_are_refused(tmp_path, words, message):
    done = command.call("run", "sums", *words, "-o", tmp_path / "run")
    assert done.exit_code == 2
    assert message in done.stderr
