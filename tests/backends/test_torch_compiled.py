"""PyTorch with compiled steps: the gate holds on it, a graph is made once, and what it lacks is said."""

import os
import shutil

import numpy as np
import pytest

import rbench
from helpers.command import run
from helpers.faults import cell
from rbench.run.worker import run_cell
from rbench.testing import cases, short_cases, verify

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
SPEC = "torch[compile=true]"
CHOSEN = [
    *short_cases(),
    next(case for case in cases() if "output_metric=ggn," in case.name and case.check == "trajectory riemannian"),
    next(case for case in cases() if "images" in case.name and case.check == "trajectory riemannian"),
]


@pytest.fixture(scope="module")
def compiled():
    return rbench.get_backend(SPEC, dtype="float64")


def test_its_spec_names_it(compiled):
    assert (compiled.name, compiled.dtype, compiled.eager) == (SPEC, "float64", False)
    assert rbench.get_backend("torch[compile=false]").name == "torch"


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_the_short_gate_and_a_trajectory_of_every_method(compiled, case):
    (result,) = verify(compiled, [case])
    assert result.passed, str(result)


def test_a_function_is_traced_once_for_each_shape_and_never_for_another_number(compiled):
    calls = []

    def function(x, scalars, *, kind):
        calls.append(kind)
        return {"y": x * scalars["rate"], "nothing": None}

    run = compiled.compile(function, static=("kind",))
    for size in (3, 4, 3):
        for rate in (0.5, 2.0):
            x = np.arange(size, dtype=float)
            found = run(compiled.asarray(x), {"rate": rate}, kind="a")
            np.testing.assert_array_equal(found["y"].numpy(), rate * x)
            assert found["nothing"] is None
    assert len(calls) == 2
    run(compiled.asarray(x), {"rate": 1.0}, kind="b")
    assert len(calls) == 3


def test_what_is_given_twice_at_one_call_may_differ_at_the_next(compiled):
    run = compiled.compile(lambda x, y: x - y)
    x, y = compiled.asarray([1.0, 2.0]), compiled.asarray([5.0, 5.0])
    assert run(x, x).tolist() == [0, 0]
    assert run(x, y).tolist() == [-4, -3]


def test_arguments_that_lie_otherwise_in_memory(compiled):
    run = compiled.compile(lambda x: x * 2.0)
    x = compiled.asarray(np.arange(9.0).reshape(3, 3))
    for given in (x, x.T, x[:, :1], x[0].expand(3, 3)):
        np.testing.assert_array_equal(run(given).numpy(), 2 * given.numpy())


@pytest.mark.parametrize("spare", [False, True])
def test_a_scaled_array_is_added_to_a_product(compiled, rng, spare):
    """As heavy-ball momentum adds the velocity to a gradient that is a product, with nothing in between."""
    a, b, c = (rng.normal(size=(4, 4)) for _ in range(3))
    run = compiled.compile(lambda a, b, c: compiled.add_scaled(a @ b, 0.9, c, spare=spare))
    found = run(*map(compiled.asarray, (a, b, c)))
    np.testing.assert_allclose(found.numpy(), a @ b + 0.9 * c, rtol=1e-12)


def test_a_record_names_it_and_holds_the_seconds_to_compile():
    rows = [run_cell(cell(backend=name, steps=2)).row() for name in (SPEC, "torch")]
    assert [row["backend"] for row in rows] == [SPEC, "torch"]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert rows[0]["compile_seconds"] > 0
    assert rows[1]["compile_seconds"] is None
    assert rows[0]["test_loss"] == pytest.approx(rows[1]["test_loss"], rel=1e-5)


def test_a_machine_without_a_compiler_is_told_so_before_anything_runs(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "CXX"} | {"PATH": str(tmp_path)}
    done = run("run", "-b", SPEC, "-t", "digits", "-m", "sgd", "-o", tmp_path / "run", env=environment)
    assert done.code == 2
    assert "'torch[compile=true]' needs a C++ compiler on the CPU; install g++" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "run" / "cells").exists()
