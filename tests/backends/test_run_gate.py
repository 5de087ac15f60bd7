"""The equivalence gate in `rbench run`, `rbench verify` and pytest, with a plugin's backends: right, wrong, deadly."""

import json
import re
from functools import partial
from types import SimpleNamespace

import pytest

from helpers.command import call, run
from helpers.faults import SPIRALS
from helpers.plugin_folder import install
from helpers.registered import registered
from rbench.run import read_records
from rbench.testing import cases, short_cases

PLUGIN = '''
import os
import signal

from rbench import BackendPlugin, hookimpl
from rbench_numpy.backend import NumpyBackend


class Right(NumpyBackend):
    name = "toy-right"


class Wrong(NumpyBackend):
    """Forgets to transpose."""

    name = "toy-wrong"

    def solve_triangular(self, lower, rhs, *, transpose=False):
        return super().solve_triangular(lower, rhs)


class Exits(NumpyBackend):
    name = "toy-exits"

    def cholesky(self, matrix, shift=0.0):
        os.write(2, b"last words\\n")
        os._exit(7)


class Segfaults(NumpyBackend):
    name = "toy-segfaults"

    def cholesky(self, matrix, shift=0.0):
        os.kill(os.getpid(), signal.SIGSEGV)


@hookimpl
def rbench_backends():
    return [BackendPlugin(cls.name, cls, lambda: None, "a toy") for cls in (Right, Wrong, Exits, Segfaults)]
'''
BACKENDS = ("toy-exits", "toy-right", "toy-segfaults", "toy-wrong")
MISS = "solve_triangular: transposed"


@pytest.fixture(scope="module")
def rbench(tmp_path_factory):
    """The command, or another module's, in an environment with the plugin."""
    return partial(run, env=install(tmp_path_factory.mktemp("plugins"), "rbench_toys", PLUGIN))


@pytest.fixture(scope="module")
def first(rbench, tmp_path_factory):
    """A run of all toys: the words of the command, the directory, what it printed, and its records by backend."""
    directory = tmp_path_factory.mktemp("runs") / "first"
    chosen = [word for name in BACKENDS for word in ("-b", name)]
    words = ["run", *chosen, "-t", SPIRALS, "-m", "sgd", "-m", "adam", "--steps", 3, "--threads", 1, "-o", directory]
    done = rbench(*words)
    assert "Traceback" not in done.err
    records, damaged = read_records(directory)
    assert damaged == []
    by_backend = {name: [record for record in records if record.cell.backend == name] for name in BACKENDS}
    return SimpleNamespace(words=words, directory=directory, done=done, records=by_backend)


def gate_lines(done):
    return [line for line in done.err.splitlines() if line.startswith("equivalence gate, ")]


def test_every_backend_is_judged_once_and_a_miss_is_status_1(first):
    assert first.done.code == 1
    lines = gate_lines(first.done)
    assert [line.split()[2] for line in lines] == list(BACKENDS)
    assert f"toy-right float32 on cpu: {len(short_cases())} cases passed, worst relative error " in lines[1]
    assert "last words" in lines[0]
    assert re.search(rf"[1-9]\d* of {len(short_cases())} cases missed: {MISS}", lines[3])


@pytest.mark.parametrize(
    ("name", "words"),
    [("toy-wrong", MISS), ("toy-exits", "status 7: last words"), ("toy-segfaults", "SIGSEGV|status -11")],
)
def test_a_backend_that_fails_is_not_timed_and_its_cells_say_why(first, name, words):
    assert len(first.records[name]) == 2
    for record in first.records[name]:
        assert record.status == "skipped"
        assert record.reason.startswith(f"not timed: equivalence gate, {name} float32")
        assert re.search(words, record.reason)
        assert f"rbench verify -b {name} --dtype float32" in record.reason
        assert record.figures == {}
        assert record.history == []
        assert record.gate.misses
        assert not record.gate.passed
        assert record.reason in first.done.err
        assert record.row()["status"] == "skipped"
    assert f"skipped: not timed: equivalence gate, {name}" in first.done.out


def test_a_backend_that_passes_is_timed_and_its_records_hold_the_gate(first):
    assert [record.status for record in first.records["toy-right"]] == ["ok", "ok"]
    for record in first.records["toy-right"]:
        assert record.figures["step_seconds"] > 0
        gate = record.gate
        assert (gate.backend, gate.dtype, gate.device, gate.misses) == ("toy-right", "float32", "cpu", ())
        assert gate.cases == len(short_cases())
        assert 0 < gate.worst < 1e-3
        assert gate.seconds > 0


def test_a_resumed_run_judges_only_what_it_runs(rbench, first):
    kept = {record.cell.key for record in first.records["toy-right"]}
    paths = [first.directory / "cells" / f"{key}.json" for key in kept]
    before = [path.stat().st_mtime_ns for path in paths]
    words = [word for word in first.words if word not in ("-b", *BACKENDS)]
    again = rbench(*words, "-b", "toy-right")
    assert again.code == 0, again.err
    assert gate_lines(again) == []
    assert "cells from an earlier run: 2; to run: 0" in again.err
    both = rbench(*words, "-b", "toy-right", "-b", "toy-wrong")
    assert both.code == 1
    assert [line.split()[2] for line in gate_lines(both)] == ["toy-wrong"]
    assert [path.stat().st_mtime_ns for path in paths] == before


@pytest.fixture
def toys():
    """The plugin in this process, which has the oracle's results already."""
    namespace = {}
    exec(PLUGIN, namespace)
    with registered(backends=namespace["rbench_backends"]()):
        yield


@pytest.mark.usefixtures("toys")
def test_verify_marks_a_miss():
    done = call("verify", "-b", "toy-wrong", "-b", "toy-right", "--dtype", "float64", "--short")
    assert done.exit_code == 1, done.stderr
    table = [[part.strip() for part in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    rows = {row[0]: row[1:] for row in table}
    assert rows["check"] == ["cases", "toy-wrong cpu float64", "toy-right cpu float64"]
    assert "MISSED" in rows["solve_triangular"][1]
    assert "MISSED" not in rows["erf"][1]
    assert all("MISSED" not in row[2] for row in rows.values())
    misses = [line for line in done.stdout.splitlines() if line.startswith("- MISSED ")]
    assert any(f"{MISS}, 3 right-hand sides on toy-wrong (cpu, float64)" in line for line in misses)
    assert done.stdout.splitlines()[-1] == f"- {len(misses)} of {2 * len(short_cases())} missed."


@pytest.mark.usefixtures("toys")
def test_verify_prints_every_case_as_json():
    done = call("verify", "-b", "toy-wrong", "--json")
    assert done.exit_code == 1, done.stderr
    rows = json.loads(done.stdout, parse_constant=pytest.fail)
    assert len(rows) == 2 * len(cases())
    assert {(row["check"], row["case"]) for row in rows} == {(case.check, case.name) for case in cases()}
    assert {row["dtype"] for row in rows} == {"float32", "float64"}
    missed = {row["check"] for row in rows if not row["passed"]}
    assert {"solve_triangular", "solver gram", "trajectory riemannian"} <= missed
    assert not missed & {"erf", "forward", "gradient", "trajectory sgd", "trajectory adam"}


def test_verify_passes_what_is_right(rbench):
    done = rbench("verify", "-b", "toy-right", "--dtype", "float64", "--short")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == f"- All {len(short_cases())} passed."
    assert "MISSED" not in done.out


TEST = """
from rbench.testing import equivalence_tests

test_equivalence = equivalence_tests("{name}")
"""


@pytest.fixture
def plugin_test(rbench, tmp_path):
    """Runs the three lines with pytest; what it printed, and its last line."""

    def run(name, *words):
        (tmp_path / "test_mine.py").write_text(TEST.format(name=name).lstrip())
        words = ("-q", "-p", "no:cacheprovider", "-W", "error", *words, "test_mine.py")
        done = rbench(*words, module="pytest", cwd=tmp_path)
        return done, done.out.splitlines()[-1]

    return run


FUNCTIONS = ("-k", "erf or inverse or solve_triangular")
"""Some cases of every dtype."""


def test_three_lines_of_pytest_are_the_whole_gate(plugin_test):
    done, last = plugin_test("toy-right", "--collect-only")
    assert done.code == 0, done.out
    assert last.startswith(f"{2 * len(cases())} tests collected in ")
    done, last = plugin_test("toy-right", *FUNCTIONS)
    assert done.code == 0, done.out
    assert re.fullmatch(r"\d+ passed, \d+ deselected in .*", last)


def test_three_lines_of_pytest_name_the_case_that_misses(plugin_test):
    done, last = plugin_test("toy-wrong", *FUNCTIONS)
    assert done.code == 1, done.out
    assert re.fullmatch(r"[1-9]\d* failed, [1-9]\d* passed, \d+ deselected in .*", last)
    for dtype in ("float32", "float64"):
        assert f"{MISS}, 3 right-hand sides on toy-wrong (cpu, {dtype}): relative error " in done.out
