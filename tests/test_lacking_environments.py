"""The command in environments that lack something: it says what, or does without; never a traceback."""

import os
import shutil
import subprocess
import sys

import pytest

NOBODY = """
import os, pwd, sys

def none(*asked):
    raise KeyError("no entry")

pwd.getpwuid = pwd.getpwnam = os.getlogin = none
from rbench.cli import main
main()
"""
"""The command for a user whom the system does not know."""
COMMAND, MAIN = ["-P", "-m", "rbench.cli"], "from rbench.cli import main; main()"


def call(*words, cwd, start=COMMAND, shell="", **variables):
    """Exit status and all that is printed; `shell` stands behind the command."""
    kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
    env = {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(cwd)} | variables
    env = {name: value for name, value in env.items() if value is not None}
    command = [sys.executable, *start, *words]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=env, cwd=cwd)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


class TestWithoutAHome:
    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (("data", "list"), 0, "mnist  train-images-idx3-ubyte  absent"),
            (("data", "check", "cifar10"), 1, "cifar10  test_batch.bin  absent"),
            (("sys-info",), 0, '"cpu"'),
            (("run", "-t", "two-spirals", "-m", "sgd", "-n"), 0, "cells: 1"),
        ],
    )
    def test_what_needs_none_works(self, words, code, said, tmp_path):
        (tmp_path / "data").mkdir()
        found = call(*words, cwd=tmp_path, start=["-c", NOBODY], HOME=None, RBENCH_DATA=str(tmp_path / "data"))
        assert (found[0], said in found[1]) == (code, True), found

    def test_what_needs_one_says_so(self, tmp_path):
        code, said = call("data", "fetch", "mnist", cwd=tmp_path, start=["-c", NOBODY], HOME=None)
        assert code == 2
        assert "there is no home directory to keep it in; set HOME or XDG_CACHE_HOME" in said


class TestData:
    @pytest.mark.parametrize(
        ("words", "value", "why"),
        [
            (("list",), "~nouser-of-rbench/x", "there is no such home directory"),
            (("list",), "file", "Not a directory"),
            (("list",), "x" * 5000, "File name too long"),
            (("check", "mnist"), "file", "Not a directory"),
            (("fetch", "mnist"), "file", "Not a directory"),
        ],
    )
    def test_a_value_that_is_no_folder_is_refused(self, words, value, why, tmp_path):
        (tmp_path / "file").touch()
        code, said = call("data", *words, cwd=tmp_path, RBENCH_DATA=value)
        assert (code, why in said) == (2, True), said
        assert "RBENCH_DATA is " in said
        assert len(said) < 1000

    @pytest.mark.parametrize("value", ["", "folder", "a\nb", "none", "file/below"])
    def test_others_are_looked_into(self, value, tmp_path):
        (tmp_path / "folder").mkdir()
        code, said = call("data", "list", cwd=tmp_path, RBENCH_DATA=value)
        assert (code, "absent" in said) == (0, True), said

    def test_a_cache_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        code, said = call("data", "fetch", "mnist", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "file"))
        assert code == 2
        assert "Not a directory" in said
        assert "set RBENCH_DATA" in said


class TestTerminals:
    @pytest.mark.parametrize("words", [("tune", "-n"), ("list",), ("run", "-n")])
    def test_a_narrow_encoding_is_escaped(self, words, tmp_path):
        assert call(*words, cwd=tmp_path, LANG="C", PYTHONIOENCODING="ascii")[0] == 0

    def test_a_name_that_is_no_text_is_escaped(self, tmp_path):
        code, said = call("table", os.fsdecode(b"\xff"), cwd=tmp_path)
        assert (code, "\\udcff holds no run" in said) == (2, True), said

    @pytest.mark.parametrize("shell", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_streams(self, shell, tmp_path):
        assert call("list", "methods", cwd=tmp_path, shell=shell)[0] == 0

    def test_one_column(self, tmp_path):
        assert "sgd" in call("list", "methods", cwd=tmp_path, COLUMNS="1")[1]


class TestSystem:
    @pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("list",), 0),
            (("data", "list"), 0),
            (("run", "-t", "two-spirals", "-m", "sgd", "-n"), 0),
            (("run", "-t", "two-spirals", "-m", "sgd", "--steps", "2", "--threads", "1"), 2),
        ],
    )
    def test_a_working_directory_that_was_removed(self, words, code, tmp_path):
        gone = tmp_path / "gone"
        gone.mkdir()
        inside = ["-c", f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); {MAIN}"]
        found = call(*words, cwd=tmp_path, start=inside)
        assert found[0] == code, found

    def test_no_folder_for_temporary_files(self, tmp_path):
        assert call("list", "methods", cwd=tmp_path, TMPDIR="/none")[0] == 0

    def test_few_files(self, tmp_path):
        start = ["-c", f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)); {MAIN}"]
        assert call("list", "methods", cwd=tmp_path, start=start)[0] == 0
