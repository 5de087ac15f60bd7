"""A directory that is not rbench's is left as it is; of one that is, only what rbench itself wrote is touched."""

import json
import os
import subprocess
import sys

import pytest

from helpers.command import call
from helpers.faults import SPIRALS, made, path_of
from rbench.errors import RbenchError
from rbench.run.directory import check_directory, remove_halves
from rbench.run.record import write_json, write_record

RUN = ("run", "-t", SPIRALS, "-m", "sgd", "--steps", "3", "--threads", "1", "-o")
TUNE = ("tune", "-t", SPIRALS, "-m", "sgd", "--trials", "2", "--steps", "3", "--threads", "1", "-o")
COST = ("run", "step-time", "-t", "16-8-4", "-m", "sgd", "--threads", "1", "-o")
LIBRARIES = {"cells": ["nand2", "dff"]}
NOTEBOOK = {"cells": [{"cell_type": "code"}], "metadata": {}, "nbformat": 4}

STRANGERS = {
    "an editor's copy": {".package.json.swp": "x", "run.json": '{"name": "mine"}'},
    "a run.json of something else": {"run.json": '{"name": "mine", "version": 1}'},
    "a run.json of cells that are no keys": {"run.json": json.dumps(LIBRARIES)},
    "a notebook": {"run.json": json.dumps(NOTEBOOK)},
    "a run.json that is no JSON": {"run.json": "cells: 5"},
    "a tune.json of something else": {"tune.json": '{"lr": 0.1}'},
    "another program's lock": {".lock": "4711"},
    "cells of something else": {"cells/neuron.json": "{}"},
    "a file": {"thesis.tex": "x"},
    "a hidden file": {".bashrc": "x"},
    "a folder": {"src/main.c": "x"},
    "a log beside nothing": {"out.log": "x"},
    "an optuna journal": {"optuna.log": "x"},
    "half of somebody's file": {".package.json.4711": "x"},
}


def fill(directory, files):
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)


def content(directory):
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", [RUN, TUNE, COST], ids=["run", "tune", "cost"])
@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_not_a_runs_is_refused_and_left_as_it_is(tmp_path, words, name):
    directory = tmp_path / "mine"
    directory.mkdir()
    fill(directory, STRANGERS[name])
    before = content(directory)
    done = call(*words, directory)
    assert done.exit_code == 2, done.output
    assert str(directory) in done.stderr
    assert "another directory with -o" in done.stderr
    assert content(directory) == before


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, ("run", "tune")),
        ({".DS_Store": "x", "lost+found/x": "x", ".nfs0001": "x"}, ("run", "tune")),
        ({".lock": "process 5 on host\n"}, ("run", "tune")),
        ({".lock": ""}, ("run", "tune")),
        ({".lock": "process 5 on host\n", "trials/optuna.log": "x"}, ("run", "tune")),
        ({"run.json": '{"cells": []}', "notes.txt": "x", "table.md": "x", "plot.png": "x"}, ("run",)),
        ({"run.json": '{"cells": 5, "provenance": {"rbench": "0.1"}}', "notes.txt": "x"}, ("run",)),
        ({"run.json": "{", ".lock": "process 5 on host\n", "notes.txt": "x"}, ("run",)),
        ({"tune.json": '{"trials": 2, "facts": {}, "provenance": {"rbench": "0.1"}}', "tuned.json": "{}"},
         ("run", "tune")),
        ({"cells/a--b--numpy--s0--0123456789.json": "{}"}, ("run",)),
        ({"cells/.a--b--numpy--s0--0123456789.json.77": "{}"}, ("run",)),
        ({"one/run.json": '{"cells": []}', "two/run.json": '{"cells": []}'}, ("run", "tune")),
    ],
)  # fmt: skip
def test_what_a_run_leaves_may_be_run_into(tmp_path, files, wanted):
    fill(tmp_path, files)
    for kind in ("run", "tune"):
        if kind in wanted:
            check_directory(tmp_path, kind)
        else:
            with pytest.raises(RbenchError, match="another `directory`"):
                check_directory(tmp_path, kind)


def test_places_that_are_no_directory_are_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "run" / "cells").parent.mkdir()
    (tmp_path / "run" / "cells").touch()
    (tmp_path / "run" / "run.json").write_text('{"cells": []}')
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    cases = {
        "file": "file: Not a directory",
        "file/below": "below: Not a directory",
        "dangling": "dangling: it is a link to .*nowhere, which does not exist",
        "loop": "loop: Too many levels of symbolic links",
        "run": "cells: Not a directory",
        "x" * 300: "File name too long",
    }
    for name, words in cases.items():
        with pytest.raises(RbenchError, match=rf"cannot write into .*{words}; name another `directory`"):
            check_directory(tmp_path / name, "run")
    check_directory(tmp_path / "link", "run")


def test_only_halves_of_rbenchs_own_files_go_and_only_where_their_writer_is_gone(tmp_path):
    cells = tmp_path / "cells"
    write_record(tmp_path, made())
    (key,) = (path.name for path in cells.iterdir())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as alive:
        gone = [tmp_path / f".run.json.{ended.pid}"]
        gone += [cells / f".{key}.{ended.pid}", cells / f".{key}.1", tmp_path / f".tuned.json.{'9' * 40}"]
        stay = [tmp_path / name for name in (".package.json.swp", f".package.json.{ended.pid}", ".run.json.swp")]
        stay += [tmp_path / f".run.json.{alive.pid}", cells / f".{key}.{alive.pid}", cells / f".mine.json.{ended.pid}"]
        for path in (*gone, *stay):
            path.touch()
        for folder in (tmp_path, cells):
            remove_halves(folder)
        assert [path for path in gone if path.exists()] == []
        assert [path for path in stay if not path.exists()] == []
        alive.communicate(b"\n")


def test_what_a_user_put_beside_a_run_stays(bench, tmp_path):
    done = call(*RUN, tmp_path / "run")
    assert done.exit_code == 0, done.output
    own = {"notes.txt": "mine", "table.md": "mine", ".package.json.swp": "mine", "cells/readme": "mine"}
    fill(tmp_path / "run", own)
    for more in ((), ("--force",)):
        done = call(*RUN, tmp_path / "run", *more)
        assert done.exit_code == 0, done.output
    assert {name: (tmp_path / "run" / name).read_text() for name in own} == own


def test_a_lock_that_leads_elsewhere_is_not_written_through(bench, tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "run.json", {"cells": []})
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    done = call(*RUN, tmp_path / "run")
    assert done.exit_code == 2
    assert "cannot write into" in done.stderr
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_records_that_may_not_be_read_are_not_called_absent(tmp_path):
    write_record(tmp_path, made())
    write_json(tmp_path / "run.json", {"cells": [path_of(tmp_path, made()).stem]})
    (tmp_path / "cells").chmod(0)
    try:
        for words in (("table", tmp_path), (*RUN, tmp_path)):
            done = call(*words)
            assert done.exit_code == 2
            assert "cells" in done.stderr
            assert "Permission denied" in done.stderr
    finally:
        (tmp_path / "cells").chmod(0o755)


def test_a_folder_of_records_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    """As root may read all, the refusal is the system call's here."""
    write_record(tmp_path, made())
    write_json(tmp_path / "run.json", {"cells": []})
    listed = os.listdir

    def refuse(path="."):
        if str(path).endswith("cells"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    for words in (("table", tmp_path), (*RUN, tmp_path)):
        done = call(*words)
        assert done.exit_code == 2, done.output
        assert "cells" in done.stderr
        assert "Permission denied" in done.stderr
