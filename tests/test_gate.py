"""The equivalence gate: its cases, the error of a result, what it says of a miss, and its form as tests of pytest."""

import math
import warnings
from collections import Counter
from itertools import product

import numpy as np
import pytest

from helpers.command import loaded, run
from helpers.plugin_folder import install
from rbench.errors import PluginError
from rbench.testing import TOLERANCE, Case, cases, equivalence_tests, relative_error, short_cases, verify
from rbench_numpy.backend import NumpyBackend

NAN, INF = math.nan, math.inf


def test_every_case_has_a_name_of_its_own():
    assert [name for name, count in Counter(map(str, cases())).items() if count > 1] == []


def test_a_tolerance_of_its_own_has_a_reason():
    own = [case for case in cases() if case.tolerance != TOLERANCE]
    assert own
    assert all(case.why for case in own)


def test_the_short_gate_has_a_case_of_every_check():
    assert set(short_cases()) <= set(cases())
    assert [case.check for case in short_cases()] == list(dict.fromkeys(case.check for case in cases()))


ERRORS = {
    "none": ([], [], 0),
    "equal": ([[1.0, 2.0]], [[1.0, 2.0]], 0),
    "a tenth": ([[3.3, 4.4]], [[3.0, 4.0]], 0.1),
    "the largest counts": ([[1.0], [3.0]], [[1.0], [2.0]], 0.5),
    "each by its own size": ([[1e6], [1.5]], [[1e6], [1.0]], 0.5),
    "too few": ([[1.0]], [[1.0], [1.0]], INF),
    "too many": ([[1.0], [1.0]], [[1.0]], INF),
    "another shape": ([[[1.0]]], [[1.0]], INF),
    "one broadcast": ([1.0], [[1.0, 1.0]], INF),
    "zeros": ([[0.0, 0.0]], [[0.0, 0.0]], 0),
    "not quite zeros": ([[0.0, 1e-30]], [[0.0, 0.0]], INF),
    "empty": ([np.zeros((0, 3))], [np.zeros((0, 3))], 0),
    "NaN where expected": ([[NAN, 1.0]], [[NAN, 1.0]], 0),
    "NaN where expected, a tenth": ([[NAN, 1.1]], [[NAN, 1.0]], 0.1),
    "NaN alone": ([[NAN]], [[NAN]], 0),
    "NaN where not expected": ([[NAN, 1.0]], [[1.0, 1.0]], INF),
    "no NaN where expected": ([[1.0, 1.0]], [[NAN, 1.0]], INF),
    "NaN elsewhere": ([[NAN, 1.0]], [[1.0, NAN]], INF),
    "NaN and not quite zero": ([[NAN, 1e-30]], [[NAN, 0.0]], INF),
    "infinite where expected": ([[INF, 1.0]], [[INF, 1.0]], 0),
    "infinite where not expected": ([[INF, 1.0]], [[1.0, 1.0]], INF),
    "the other infinity": ([[-INF, 1.0]], [[INF, 1.0]], INF),
    "labels": ([np.array([1, 2])], [np.array([1, 2])], 0),
    "booleans": ([np.array([True, False])], [np.array([True, True])], 0.5**0.5),
}


@pytest.mark.parametrize("name", ERRORS)
def test_relative_error(name):
    found, expected, error = ERRORS[name]
    measured = relative_error([np.asarray(array) for array in found], [np.asarray(array) for array in expected])
    assert measured == pytest.approx(error, rel=1e-12)


ONES = (np.ones(2),)


def returning(*arrays, expected=ONES):
    return Case("a check", "a name", lambda backend: arrays, lambda: expected)


def raising(error):
    def compute(backend):
        raise error

    return Case("a check", "a name", compute, lambda: [np.ones(2)])


def not_computed():
    raise ValueError("no oracle")


KINDS = {
    "raises": (raising(RuntimeError("on purpose")), "RuntimeError: on purpose"),
    "oracle raises": (Case("a check", "a name", lambda b: [], not_computed), "ValueError: no oracle"),
    "count": (returning(), "0 arrays instead of 1"),
    "shape": (returning(np.ones(3, "f4")), r"array 0 has shape (3,) instead of (2,)"),
    "promoted": (returning(np.ones(2)), "array 0 has dtype float64 instead of float32"),
    "integers": (returning(np.ones(2, int)), "array 0 has dtype int64 instead of float32"),
    "floats": (returning(np.ones(2, "f4"), expected=[np.ones(2, int)]), "array 0 has dtype float32 instead of int64"),
    "NaN": (returning(np.array([1, NAN], "f4")), "array 0 has NaN in other places than it should"),
    "not an array": (returning("words"), "AttributeError: 'str' object has no attribute 'shape'"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_miss_says_why(name, single):
    case, message = KINDS[name]
    wrong, right = verify(single, [case, returning(np.ones(2, "f4"))])
    assert (wrong.passed, wrong.error, wrong.message) == (False, INF, message)
    assert str(wrong) == f"a check: a name on numpy (cpu, float32): relative error inf, tolerance 0.001; {message}"
    assert (right.passed, right.error, right.message) == (True, 0, "")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("words", "passed"), [("invalid value encountered in matmul", True), ("overflow", False)])
def test_a_product_is_judged_by_its_numbers_not_by_a_flag(words, passed, single):
    def compute(backend):
        warnings.warn(words, RuntimeWarning, stacklevel=1)
        return [np.ones(2, "f4")]

    (result,) = verify(single, [Case("a check", "a name", compute, lambda: ONES)])
    assert result.passed is passed


def test_an_interrupt_ends_the_gate(single):
    with pytest.raises(KeyboardInterrupt):
        verify(single, [raising(KeyboardInterrupt())])


def test_progress(single):
    seen = []
    verify(single, cases()[:3], lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


PLUGIN = """
from rbench import BackendPlugin, hookimpl


def create(dtype, device):
    from rbench_numpy.backend import NumpyBackend

    class Wrong(NumpyBackend):
        name = "wrong"

        def erf(self, x):
            raise ValueError("no erf")

    return Wrong(dtype)


@hookimpl
def rbench_backends():
    return [
        BackendPlugin("wrong", create, lambda: None, "wrong erf", dtypes=("float64",)),
        BackendPlugin("absent", create, lambda: "the package 'absent' is not installed", "not here"),
    ]
"""
TESTS = """
from rbench.testing import equivalence, equivalence_tests, short_cases

equivalence.cases = short_cases
test_right = equivalence_tests("numpy", dtypes=("float32",))
test_wrong = equivalence_tests("wrong")
test_absent = equivalence_tests("absent")
test_no_device = equivalence_tests("numpy", device="tpu", dtypes=("float32",))
"""


def test_equivalence_tests_are_the_whole_gate_in_every_dtype():
    (mark,) = equivalence_tests("numpy").pytestmark
    assert [one.values for one in mark.args[1]] == list(product(("float32", "float64"), cases()))


def test_equivalence_tests(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    environment = install(tmp_path, "mine", PLUGIN)
    words = ["-q", "-rfs", "-p", "no:cacheprovider", "--rootdir", tmp_path, "test_it.py"]
    done = run(*words, module="pytest", cwd=tmp_path, env=environment)
    assert done.code == 1, done.out + done.err
    wrong = [result for result in verify(NoErf("float64"), short_cases()) if not result.passed]
    assert 0 < len(wrong) < len(short_cases())
    assert f"{len(wrong)} failed, {2 * len(short_cases()) - len(wrong)} passed, 3 skipped" in done.out
    assert "erf: from -4 to 4, and far out on wrong (cpu, float64): relative error inf, tolerance 1e-10" in done.out
    assert "ValueError: no erf" in done.out
    assert "test_it.py::test_wrong[float64-erf: from -4 to 4, and far out]" in done.out
    assert "the package 'absent' is not installed" in done.out
    assert "has no device 'tpu'" in done.out


class NoErf(NumpyBackend):
    def erf(self, x):
        raise ValueError("no erf")


def test_equivalence_tests_of_nothing():
    with pytest.raises(PluginError, match="no backend is called 'nowhere'"):
        equivalence_tests("nowhere")


def test_the_gate_starts_light():
    assert loaded("import rbench.testing") & {"pytest", "torch", "jax", "cupy", "pandas", "sklearn"} == set()
