"""A file is a plugin: found by name in all processes of a run, told apart by its text, and written by `rbench new`."""

import json
import os
import shlex
import sys
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from helpers.command import call, run
from helpers.faults import SPIRALS, cell
from rbench.cli.new import COMMANDS, REGISTERED, Kind
from rbench.errors import PluginError
from rbench.plugin_files import PluginFile, read
from rbench.plugins import plugins
from rbench.report.page.records import command
from rbench.run import read_records
from rbench.run.fork import servers
from rbench.run.isolate import run_isolated
from rbench.run.provenance import environment, provenance
from rbench.run.run_file import Planned, RunFile

METHOD = """
from rbench import hookimpl
from rbench.methods import SGD


class Mine(SGD):
    name, summary = "mine", "SGD by another name"
    lr: float = {rate}


@hookimpl
def rbench_methods():
    return [Mine]
"""
HOOK = "from rbench import hookimpl\n@hookimpl\ndef rbench_methods():\n"
ON_SPIRALS = ("-t", SPIRALS, "--steps", 3, "--threads", 1, "--no-memory")


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch):
    """No file is named at first, and none stays named."""
    monkeypatch.setenv("RBENCH_PLUGINS", "")


def written(folder, name="mine.py", text=METHOD, rate=0.5):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text.replace("{rate}", str(rate)))
    return path


def listed(kind, *words):
    """What `rbench list` says of a kind, by name."""
    done = call("list", kind, "--json", *words)
    assert done.exit_code == 0, done.stderr
    return {item["name"]: item for item in json.loads(done.stdout)[kind]}


class TestNames:
    @pytest.mark.parametrize("kind", Kind)
    def test_every_kind_is_written_and_listed_with_its_file(self, kind, tmp_path):
        path = tmp_path / "own-one.py"
        done = call("new", kind.value, "mine", "-o", path)
        assert (done.exit_code, done.stdout.strip()) == (0, COMMANDS[kind].format(name="mine", file=path))
        registered = REGISTERED.get(kind, f"{kind.value}s")
        assert listed(registered, "--plugin", path)["mine"]["file"] == str(path)
        assert all("file" not in item for name, item in listed(registered).items() if name != "mine")

    def test_the_variable_and_the_option_name_files_together_and_each_once(self, tmp_path, monkeypatch):
        mine, other = written(tmp_path), written(tmp_path, "other.py", METHOD.replace('"mine"', '"other"'))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("RBENCH_PLUGINS", os.pathsep.join(["", str(mine), "mine.py"]))
        assert {"mine", "sgd"} <= set(listed("methods"))
        assert {"mine", "other"} <= set(listed("methods", "--plugin", "other.py", "--plugin", mine))
        assert os.environ["RBENCH_PLUGINS"] == os.pathsep.join([str(mine), str(other)])
        assert "file: " + str(other) in call("list", "methods").stdout

    def test_sys_info_and_every_provenance_have_the_sums(self, tmp_path, monkeypatch):
        assert provenance()["plugin_files"] == {}
        path = written(tmp_path)
        monkeypatch.setenv("RBENCH_PLUGINS", str(path))
        sums = {"mine.py": PluginFile(path, path.read_text()).sum}
        assert provenance()["plugin_files"] == sums
        assert json.loads(call("sys-info").stdout)["plugin_files"] == sums

    def test_a_version_of_a_file_is_a_module_and_its_text_runs_once(self, tmp_path):
        old = PluginFile(written(tmp_path), METHOD.format(rate=1))
        new = PluginFile(old.path, METHOD.format(rate=2))
        assert old.load() is old.load() is not new.load()
        assert (old.load().Mine().lr, new.load().Mine().lr) == (1, 2)


WRONG = {
    "a name that is not defined": ("x = 1\ny = x + z\n", "mine.py:2: NameError: name 'z' is not defined"),
    "an error in what it calls": ("import json\n\njson.loads('{')\n", "mine.py:3: JSONDecodeError: "),
    "a package that is not here": ("import no_such_package\n", "mine.py:1: ModuleNotFoundError: No module named 'no_"),
    "no Python": ("x = 1\ndef f(:\n", "mine.py:2: SyntaxError: "),
    "a null byte": ("x = '\0'\n", "mine.py: SyntaxError: source code string cannot contain null bytes"),
    "an exit": ("import sys\nsys.exit(3)\n", "mine.py:2: it raised SystemExit: 3"),
    "no hook": ("def rbench_methods():\n    return []\n", "mine.py: it has no hook, such as a function rbench_methods"),
    "an unknown hook": (HOOK.replace("methods", "optimisers") + "    return []\n", "unknown hook 'rbench_optimisers'"),
    "a hook that raises": (HOOK + "    return [1 / 0]\n", "mine.py:4: ZeroDivisionError: division by zero"),
    "an entry that is none": (
        HOOK + "    return [5]\n",
        "mine.py: it registers 5 among the methods",
    ),
    "a name that is taken": (
        METHOD.format(rate=1).replace('"mine"', '"adam"'),
        "both register methods name 'adam'; leave one of them out or rename its entry",
    ),
}


class TestErrors:
    @pytest.mark.parametrize("name", WRONG)
    def test_a_file_that_cannot_be_used_is_told_with_the_line_before_any_work(self, name, tmp_path):
        text, words = WRONG[name]
        path = written(tmp_path, text=text)
        done = call("run", *ON_SPIRALS, "-m", "sgd", "--plugin", path, "-o", tmp_path / "run")
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in done.stderr
        assert str(path) in done.stderr
        assert not (tmp_path / "run").exists()

    def test_two_plugins_that_register_one_name_are_both_named(self, tmp_path):
        path = written(tmp_path, text=METHOD.replace('"mine"', '"sgd"'), rate=1)
        assert f"plugins 'rbench:methods' and '{path}' both register" in call("list", "--plugin", path).stderr

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("absent.py", "absent.py cannot be read: No such file or directory; name a Python file"),
            ("folder.py", "folder.py cannot be read: Is a directory; name a Python file"),
            ("latin.py", "latin.py cannot be read: it is not text in UTF-8; name a Python file"),
            ("mine.txt", "mine.txt' cannot be a plugin: its name must be letters, digits, _ and -, and then .py"),
            ("my mine.py", "my mine.py' cannot be a plugin"),
            ("a:b/mine.py", "a:b/mine.py' cannot be a plugin: its name must be letters, digits, _ and -, and then .py"),
            ("", "is empty; name a file"),
        ],
    )
    def test_what_is_no_file_of_a_plugin_is_refused(self, name, words, tmp_path, monkeypatch):
        (tmp_path / "folder.py").mkdir()
        (tmp_path / "latin.py").write_bytes(b"# \xe9\n")
        monkeypatch.chdir(tmp_path)
        done = call("list", "--plugin", name)
        assert done.exit_code == 2
        assert words in done.stderr

    def test_two_files_of_one_name_are_refused_and_both_named(self, tmp_path):
        one, other = (written(tmp_path / folder) for folder in "ab")
        words = f"two plugins are called mine.py: {one} and {other}; rename one"
        assert words in call("list", "--plugin", one, "--plugin", other).stderr

    def test_a_file_of_the_variable_is_held_to_the_same(self, tmp_path, monkeypatch):
        path = written(tmp_path, text="1 / 0\n")
        monkeypatch.setenv("RBENCH_PLUGINS", str(path))
        with pytest.raises(PluginError, match=r"mine\.py:1: ZeroDivisionError"):
            plugins()
        assert not any(name.startswith("mine_") and sys.modules[name].__file__ == str(path) for name in sys.modules)
        assert "mine.py:1: ZeroDivisionError" in call("list").stderr


class TestRuns:
    def test_records_know_the_version_and_others_are_not_mixed_with_them(self, tmp_path):
        path, directory = written(tmp_path), tmp_path / "run"
        words = ("run", "--plugin", path, "-m", "mine[lr=0.1]", "-m", "sgd", *ON_SPIRALS, "-o", directory)
        done = call(*words, "-j", 2)
        assert done.exit_code == 0, done.output
        first = PluginFile(path, path.read_text()).sum
        records = {record.training.method.partition("[")[0]: record for record in read_records(directory)[0]}
        assert records["mine"].environment["source of mine.py"] == first
        assert "source of mine.py" not in records["sgd"].environment
        assert all(record.provenance["plugin_files"] == {"mine.py": first} for record in records.values())
        assert command(records["mine"]).startswith("rbench run --plugin mine.py --cell ")
        assert command(records["sgd"]).startswith("rbench run --cell ")

        written(tmp_path, rate=0.6)
        second = PluginFile(path, path.read_text()).sum
        done = call(*words, "-j", 2, "--seeds", 2)  # this process has the first version
        assert done.exit_code == 2
        assert f"the software changed during the run (new → at its start: source of mine.py: {second} → {first}" in (
            done.stderr
        )
        done = run(*words, "-j", 2)
        assert done.code == 2
        assert f"made differently than they would be now: 1 (source of mine.py: {first} → {second})" in done.err

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a server")
    def test_forked_processes_have_the_files_that_are_named_when_they_start(self, tmp_path, monkeypatch):
        sums = []
        with servers:
            for rate, folder in enumerate("ab", start=1):
                path = written(tmp_path / folder, rate=rate)
                monkeypatch.setenv("RBENCH_PLUGINS", str(path))
                record = run_isolated(cell("mine"), None, tmp_path)
                assert (record.status, record.started) == ("ok", "forked")
                sums.append(record.environment["source of mine.py"])
                assert sums[-1] == environment(cell("mine"))["source of mine.py"]
        assert sums[0] != sums[1]

    @pytest.mark.parametrize("kind", [Kind.task, Kind.backend, Kind.metric, Kind.loss, Kind.experiment])
    def test_the_file_of_each_thing_that_a_figure_depends_on_is_in_the_environment(self, kind, tmp_path, monkeypatch):
        path = tmp_path / "mine.py"
        call("new", kind.value, "mine", "-o", path)
        monkeypatch.setenv("RBENCH_PLUGINS", str(path))
        monkeypatch.setattr(plugins().find("tasks", "regression"), "loss", "mine")
        cells = {
            Kind.task: lambda: cell(task="mine"),
            Kind.backend: lambda: cell(backend="mine"),
            Kind.metric: lambda: cell("riemannian[output_metric=mine]"),
            Kind.loss: lambda: cell(task="regression"),
            Kind.experiment: lambda: plugins().find("experiments", "mine")(suite="mine", backend="numpy", terms=1),
        }
        assert environment(cells[kind]())["source of mine.py"] == read(str(path))[0].sum
        assert "source of mine.py" not in environment(cell())


class TestBundles:
    def test_the_file_travels_and_is_not_run_unasked(self, tmp_path, monkeypatch):
        path, directory, file = written(tmp_path), tmp_path / "run", tmp_path / "my run.zip"
        done = call("run", "--plugin", path, "-m", "mine", *ON_SPIRALS, "-o", directory)
        assert done.exit_code == 0, done.output
        assert call("bundle", directory, "-o", file).exit_code == 0
        with zipfile.ZipFile(file) as archive:
            assert archive.read("run/plugins/mine.py").decode() == path.read_text()
        again = call("reproduce", file, "--plugin", path, "--dry-run")
        assert (again.exit_code, "cells: 1" in again.stdout, again.stderr) == (0, True, "")

        monkeypatch.setenv("RBENCH_PLUGINS", "")
        without = call("reproduce", file, "--dry-run")
        assert "cells: 0" in without.stdout
        assert "left out, 1 cells: no method is called 'mine'" in without.stderr
        assert (
            f"take it out (unzip -j '{file}' run/plugins/mine.py), read it, and add --plugin mine.py" in without.stderr
        )

    def test_of_several_versions_the_latest_is_kept(self):
        first, second = (Planned(cells=(), plugin_files={"a.py": text, f"{text}.py": ""}) for text in ("1", "2"))
        plan = RunFile(cells=(), plugin_files={"b.py": "3"}, earlier=(second, first))
        assert plan.all_plugin_files() == {"a.py": "2", "1.py": "", "2.py": "", "b.py": "3"}

    @pytest.mark.parametrize("name", ["x; rm -rf ~ #.py", "../a.py", "a.py\n", "a", ""])
    def test_a_name_that_is_none_is_no_plan(self, name):
        with pytest.raises(ValidationError, match="plugin_files"):
            Planned(cells=(), plugin_files={name: ""})


class TestNew:
    @pytest.mark.parametrize(("name", "file"), [("my-Method", "my_method.py"), ("3d", "3d.py"), ("None", "none.py")])
    def test_a_name_is_that_of_the_entry_and_gives_that_of_the_file(self, name, file, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        done = call("new", "method", name)
        assert shlex.split(done.stdout) == shlex.split(COMMANDS[Kind.method].format(name=name, file=file))
        assert listed("methods", "--plugin", file)[name]["file"] == str(tmp_path / file)

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (("method", "a b"), "'a b' cannot be a name here; take letters, digits, - and _, such as my-method"),
            (("method", "-a"), "No such option"),
            (("method", "é"), "cannot be a name here"),
            (("method", "adam"), "a method is called adam already; choose another name"),
            (("metric", "ggn"), "a metric is called ggn already; choose another name"),
            (("method", "there"), "there.py is there; name another file with -o, or replace it with --force"),
            (("method", "mine", "-o", "mine.txt"), "'mine.txt' cannot be a plugin"),
            (
                ("method", "mine", "-o", "no/mine.py"),
                "cannot write no/mine.py: No such file or directory",
            ),
            (("optimiser", "mine"), "'optimiser' is not one of 'method', 'task'"),
        ],
    )
    def test_what_cannot_be_written_is_refused(self, words, told, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("there.py").write_text("mine\n")
        done = call("new", *words)
        assert done.exit_code == 2
        assert told in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["there.py"]
        assert Path("there.py").read_text() == "mine\n"

    def test_a_file_is_replaced_where_that_is_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("mine.py").write_text("mine\n")
        assert call("new", "method", "mine", "--force").exit_code == 0
        assert "mine" in listed("methods", "--plugin", "mine.py")
