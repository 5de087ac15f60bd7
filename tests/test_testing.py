"""The equivalence gate passes what is right, and can fail: backends and mathematics that are wrong are missed."""

import importlib
import inspect
import math
import os
import pkgutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import rbench
from rbench import api
from rbench.errors import ParameterError, PluginError
from rbench.losses import CrossEntropy, SquaredError
from rbench.methods import KFAC, SGD, Adam, Descent, Method, Naive, Riemannian, kfac, kronecker, preconditioned
from rbench.metrics import KroneckerMass, pullback
from rbench.modules import GELU, Linear, Module, ReLU, Tanh
from rbench.random import generator
from rbench.solvers import capacitance, gram
from rbench.testing import TOLERANCE, Case, cases, equivalence_tests, oracle, relative_error, short_cases, verify
from rbench.testing import _examples as examples
from rbench.testing._networks import _POINTWISE
from rbench.testing.reference import trajectory
from rbench_numpy.backend import NumpyBackend

NAN, INF = math.nan, math.inf


def misses(backend, chosen):
    """Checks with at least one miss, and the results that missed."""
    wrong = [result for result in verify(backend, chosen) if not result.passed]
    return {result.case.check for result in wrong}, wrong


def telling(checks):
    """All cases of some checks, and one of every other."""
    return [case for case in cases() if case.check in checks or case in short_cases()]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numpy_passes(dtype):
    _, wrong = misses(rbench.get_backend("numpy", dtype=dtype), cases())
    assert [str(result) for result in wrong] == []


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


def test_an_interrupt_ends_the_gate(single):
    with pytest.raises(KeyboardInterrupt):
        verify(single, [raising(KeyboardInterrupt())])


def test_progress(single):
    seen = []
    verify(single, cases()[:3], lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


class TriangularTheOtherWay(NumpyBackend):
    def solve_triangular(self, lower, rhs, *, transpose=False):
        return super().solve_triangular(lower, rhs, transpose=not transpose)


class NoShift(NumpyBackend):
    def cholesky(self, matrix, shift=0.0):
        return super().cholesky(matrix)


class UpperHalf(NumpyBackend):
    def cholesky(self, matrix, shift=0.0):
        return super().cholesky(np.ascontiguousarray(matrix.T), shift)


class NoInflation(NumpyBackend):
    epsilon = 0.0


class CholeskyRaises(NumpyBackend):
    def cholesky(self, matrix, shift=0.0):
        return np.linalg.cholesky(matrix + shift * np.eye(len(matrix), dtype=matrix.dtype))


class InverseRaises(NumpyBackend):
    def inverse(self, matrix):
        return np.linalg.inv(matrix)


class EighOfAnything(NumpyBackend):
    def eigh(self, matrix):
        return np.linalg.eigh(matrix)


class DescendingEigenvalues(NumpyBackend):
    def eigh(self, matrix):
        values, vectors = super().eigh(matrix)
        return values[::-1], vectors[:, ::-1]


class WrongErf(NumpyBackend):
    def erf(self, x):
        return np.tanh(1.2 * x)


class Promoted(NumpyBackend):
    def solve_triangular(self, lower, rhs, *, transpose=False):
        return super().solve_triangular(lower, rhs, transpose=transpose).astype(np.float64)


class HalfPrecision(NumpyBackend):
    def asarray(self, values, dtype=None):
        found = super().asarray(values, dtype)
        return found.astype(np.float16).astype(found.dtype) if dtype is None else found


class FloatLabels(NumpyBackend):
    def labels(self, values):
        return self.asarray(values)


class AddsInPlace(NumpyBackend):
    def add_scaled(self, x, scale, y):
        x += scale * y
        return x


class OneCallBehind(NumpyBackend):
    def compile(self, function, static=()):
        kept = []

        def late(*args, **kwargs):
            kept.append(function(*args, **kwargs))
            return kept[max(0, len(kept) - 2)]

        return late


class FirstStaticForAll(NumpyBackend):
    def compile(self, function, static=()):
        first = {}

        def fixed(*args, **kwargs):
            first.update({key: value for key, value in kwargs.items() if key not in first})
            return function(*args, **first)

        return fixed


class NumbersBakedIn(NumpyBackend):
    def compile(self, function, static=()):
        first = {}

        def baked(*args, **kwargs):
            numbers = [first.setdefault(i, arg) if isinstance(arg, dict) else arg for i, arg in enumerate(args)]
            return function(*numbers, **kwargs)

        return baked


class LoopKeepsItsCarry(NumpyBackend):
    def compile_loop(self, function):
        def loop(carry, items):
            results = [function(carry, tuple(pick(item, t) for item in items))[1] for t in range(3)]
            return carry, (np.stack([total for total, _ in results]), None)

        def pick(item, t):
            return {key: value[t] for key, value in item.items()} if isinstance(item, dict) else item and item[t]

        return loop


SABOTAGED = {
    TriangularTheOtherWay: {"solve_triangular", "solver gram", "solver rows", "solver dense", "trajectory kfac"},
    NoShift: {"cholesky", "solver gram", "solver rows", "kfac directions", "trajectory riemannian"},
    UpperHalf: {"cholesky"},
    NoInflation: {"cholesky"},
    CholeskyRaises: {"cholesky"},
    InverseRaises: {"inverse"},
    EighOfAnything: {"eigh"},
    DescendingEigenvalues: {"eigh"},
    WrongErf: {"erf", "forward", "pullback", "gradient", "kfac directions"},
    Promoted: {"solve_triangular", "solver gram", "solver rows", "kfac directions", "trajectory riemannian"},
    HalfPrecision: {"products"},
    FloatLabels: {"labels"},
    AddsInPlace: {"arrays"},
    OneCallBehind: {"compile", "trajectory sgd", "trajectory adam", "trajectory naive", "trajectory kfac"},
    FirstStaticForAll: {"compile", "trajectory kfac"},
    NumbersBakedIn: {"compile", "trajectory sgd", "trajectory adam", "trajectory riemannian"},
    LoopKeepsItsCarry: {"compile"},
}
"""A backend that is wrong in one way, and the checks that must tell."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("sabotaged", SABOTAGED, ids=lambda cls: cls.__name__)
def test_a_wrong_backend_is_found(sabotaged):
    checks, _ = misses(sabotaged("float32"), telling(SABOTAGED[sabotaged]))
    assert checks >= SABOTAGED[sabotaged]
    assert checks < {case.check for case in cases()}, "a gate that fails everywhere tells nothing"


def without_mean(real):
    """A pullback of the metric that lacks the 1/B of the batch's mean."""

    def pull(backend, net, params, loss, metric, treatment, x, *rest):
        batch = (x[0] if isinstance(x, tuple) else x).shape[0]
        value, pulled = real(backend, net, params, loss, metric, treatment, x, *rest)
        return value, [enlarged(rows, batch**0.5) for rows in pulled]

    return pull


def enlarged(rows, factor):
    """The same gradient, and rows of the metric `factor` times as long."""
    if rows.scale is not None:
        return replace(rows, scale=rows.scale * factor)
    return replace(rows, rows=np.concatenate([rows.rows[:, :1], rows.rows[:, 1:] * factor], axis=1))


def times(factor):
    return lambda real: lambda *args: real(*args) * factor


def with_scalars(changed):
    return lambda real: lambda self, step, total: real(self, step, total) | changed(self)


def doubled_bias(real):
    def block(self, *args):
        weight, bias = real(self, *args)
        return weight, 2 * bias

    return block


UNCLIPPED = lambda real: lambda problem, direction, *rest: direction  # noqa: E731
MATHEMATICS = {
    "metric without 1/B": (
        (api, "pull_metric"), without_mean,
        {"metric ggn", "metric ggn_mc", "metric true_vs_rest", "batch mean", "mass diagonal", "solver gram"},
    ),
    "1/B in the methods": (
        (preconditioned, "pull_metric"), without_mean, {"trajectory riemannian", "trajectory naive"},
    ),
    "1/B in K-FAC": ((kfac, "pull_metric"), without_mean, {"kfac directions", "trajectory kfac"}),
    "1/B of the mean's metric": (
        (pullback, "_mean_factor"), times(2.0), {"batch mean", "solver gram", "solver rows", "trajectory riemannian"},
    ),
    "scale of true_vs_rest": (
        (CrossEntropy, "true_vs_rest_scale"), lambda real: lambda *args: real(*args) ** 2,
        {"metric true_vs_rest", "solver gram", "trajectory riemannian"},
    ),
    "uncentred Hessian": (
        (CrossEntropy, "hessian_factor"),
        lambda real: lambda self, backend, z: np.sqrt(self.predictions(backend, z))[:, :, None] * np.eye(z.shape[1]),
        {"loss", "metric ggn", "kfac factors", "trajectory riemannian"},
    ),
    "1/√r of the samples": (
        (CrossEntropy, "sampled_factor"), times(3**0.5), {"metric ggn_mc", "kfac factors", "trajectory kfac"},
    ),
    "samples of another seed": (
        (api, "generator"), lambda real: lambda seed, purpose: real(seed + 1, purpose), {"metric ggn_mc"},
    ),
    "squared error without ½": (
        (SquaredError, "values"), times(2.0), {"loss", "trajectory sgd", "trajectory riemannian"},
    ),
    "slope of tanh": (
        (Tanh, "slope"), lambda real: lambda self, b, x, y: 1 - y, {"pullback", "gradient", "metric ggn"},
    ),
    "slope of GELU": ((GELU, "slope"), lambda real: lambda self, b, x, y: y / x, {"pullback", "gradient"}),
    "mass of the bias": (
        (KroneckerMass, "block"), doubled_bias, {"mass scalar", "mass separable", "solver dense"},
    ),
    "gram without mass": ((gram, "_divide"), lambda real: lambda array, mass: array, {"solver gram"}),
    "a kept metric's products": ((capacitance, "products"), times(2.0), {"trajectory riemannian"}),
    "a kept metric's correction": ((capacitance, "combine"), times(2.0), {"trajectory riemannian"}),
    "gram without correction": (
        (gram, "corrected"), lambda real: lambda b, rows, solution: rows.gradient_rows,
        {"solver gram", "solver auto", "trajectory riemannian"},
    ),
    "damping split swapped": (
        (kronecker, "split_damping"), lambda real: lambda *given: real(*given)[::-1],
        {"kfac directions", "trajectory kfac"},
    ),
    "eigenvalues not damped": (
        (kfac, "solve"), lambda real: lambda b, pair, g, damping, form: real(b, pair, g, 1e-9, form),
        {"kfac directions", "trajectory kfac"},
    ),
    "averages that begin at zero": (
        (KFAC, "scalars"), with_scalars(lambda method: {"decay": method.decay}), {"trajectory kfac"},
    ),
    "no bias correction": (
        (Adam, "scalars"), with_scalars(lambda method: {"correction1": 1.0, "correction2": 1.0}), {"trajectory adam"},
    ),
    "a schedule one step ahead": (
        (Method, "scalars"), lambda real: lambda self, step, total: real(self, step + 1, total),
        {f"trajectory {name}" for name in ("sgd", "adam", "riemannian", "naive", "kfac")},
    ),
    "no Nesterov": (
        (Descent, "descend"), lambda real: lambda *args, nesterov=False: real(*args), {"trajectory sgd"},
    ),
    "no clip": ((preconditioned, "clip_step"), UNCLIPPED, {"trajectory riemannian", "trajectory naive"}),
    "no clip in K-FAC": ((kfac, "clip_step"), UNCLIPPED, {"trajectory kfac"}),
}  # fmt: skip
"""What is replaced, by a wrong one made of the right one, and the checks that must tell."""


@pytest.mark.parametrize("mistake", MATHEMATICS)
def test_wrong_mathematics_is_found(mistake, backend, monkeypatch):
    (owner, name), wrong, expected = MATHEMATICS[mistake]
    right = {case: case.expected for case in cases()}
    monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))
    checks, missed = misses(backend, telling(expected))
    assert checks >= expected
    assert checks < {case.check for case in cases()}
    for result in missed:
        assert relative_error(result.case.expect(), right[result.case]) == 0


STRUCTURE = {"layers", "weight_shape", "fan_in", "fan_out", "n_parameters"}
PARTS = {"rbench.modules", "rbench.losses", "rbench.metrics", "rbench.solvers", "rbench.methods"}


def refuse(*args, **kwargs):
    raise AssertionError("the oracle called rbench's own mathematics")


def test_the_oracle_shares_no_mathematics_with_rbench(monkeypatch):
    """All expected values come out the same where nothing of rbench can compute."""
    right = {str(case): case.expected for case in cases()}
    examples.example.cache_clear()
    again = cases.__wrapped__()
    names = {info.name for info in pkgutil.walk_packages(rbench.__path__, "rbench.")}
    for module in [importlib.import_module(name) for name in names if name.rpartition(".")[0] in PARTS]:
        for cls in [item for item in vars(module).values() if inspect.isclass(item)]:
            if cls.__module__ == module.__name__:
                stub(monkeypatch, cls)
        stub(monkeypatch, module)
    with pytest.raises(AssertionError, match="own mathematics"):
        Linear(2, 2).init(None)
    for case in again:
        assert relative_error(case.expect(), right[str(case)]) == 0, str(case)


def stub(monkeypatch, owner):
    """Let every function of a class or module refuse, but for the ones that tell of structure."""
    for name, item in list(vars(owner).items()):
        if inspect.isfunction(item) and item.__module__ == getattr(owner, "__module__", owner.__name__):
            if not name.startswith("__") and name not in STRUCTURE:
                monkeypatch.setattr(owner, name, refuse)


NETWORKS = examples.NETWORKS | examples.MODULES


def outputs(net, params, x):
    return np.concatenate([wire.reshape(len(wire), -1) for wire in oracle.forward(net, params, x)], axis=1)


def differences(function, size):
    """Central differences (batch, D, size) of a function of a vector, at zero."""
    h = 1e-6
    return np.stack([(function(h * e) - function(-h * e)) / (2 * h) for e in np.eye(size)], axis=2)


@pytest.mark.parametrize("name", NETWORKS)
def test_input_jacobians_are_central_differences(name):
    given = examples.example(name)
    found = oracle.input_jacobians(given.net, given.params, given.x)
    for index, wire in enumerate(given.x):

        def moved(step, index=index, wire=wire):
            x = (*given.x[:index], wire + step.reshape(wire.shape[1:]), *given.x[index + 1 :])
            return outputs(given.net, given.params, x)

        np.testing.assert_allclose(found[index], differences(moved, wire[0].size), atol=1e-7)


@pytest.mark.parametrize("name", NETWORKS)
def test_jacobians_are_central_differences(name):
    given = examples.example(name)
    for index, layer in enumerate(given.net.layers):

        def moved(step, index=index, layer=layer):
            block = oracle.shaped(oracle.flat(given.params[index]) + step, layer)
            return outputs(given.net, (*given.params[:index], block, *given.params[index + 1 :]), given.x)

        np.testing.assert_allclose(given.jacobians[index], differences(moved, layer.n_parameters), atol=1e-7)


@pytest.mark.parametrize("name", examples.NETWORKS)
def test_kronecker_factors_are_the_metric_of_one_datum(name):
    """For one datum the layer's metric is G ⊗ A exactly."""
    given, metric = examples.example(name), np.asarray(examples.FIXED)[None]
    factors = oracle.kronecker_factors(given.net, given.params, tuple(wire[:1] for wire in given.x), metric)
    for layer, (a, g), jacobian in zip(given.net.layers, factors, given.jacobians, strict=True):
        exact = oracle.layer_metric(jacobian[:1], metric, np.zeros(layer.n_parameters), "stack")
        cut = layer.fan_out * layer.fan_in
        expected = np.kron(g, a[: layer.fan_in, : layer.fan_in])
        np.testing.assert_allclose(exact[:cut, :cut], expected, rtol=1e-10, atol=1e-14)
        assert a.shape == (layer.fan_in + layer.bias,) * 2
        if layer.bias:
            np.testing.assert_allclose(exact[cut:, cut:], g, rtol=1e-10, atol=1e-14)
            assert exact.trace() == pytest.approx(a.trace() * g.trace(), rel=1e-12)


MASSES = {
    "scalar": (0.3, lambda i, j: 0.3),
    "list": ([0.7], lambda i, j: 0.7),
    "pair": ([(np.array([2.0, 3.0]), np.array([5.0, 7.0, 11.0]))], lambda i, j: (2, 3)[i] * (5, 7, 11)[j]),
    "full": ([np.arange(1.0, 7).reshape(2, 3)], lambda i, j: 1 + 3 * i + j),
    "flat": ([np.array([1.0, 2, 4, 5, 3, 6])], lambda i, j: 1 + 3 * i + j),
    "mapping": ([{"bias": [3.0, 6], "weight": [[1.0, 2], [4, 5]]}], lambda i, j: 1 + 3 * i + j),
}


@pytest.mark.parametrize("kind", MASSES)
def test_mass_diagonals(kind):
    mass, entry = MASSES[kind]
    (diagonal,) = oracle.mass_diagonals(mass, (Linear(2, 2),))
    assert list(diagonal) == [entry(i, j) for i, j in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)]]


def test_an_unknown_module_is_refused():
    class Sine(Module):
        in_space, out_space, forward, pullback = (None,), None, None, None

        def __repr__(self):
            return "Sine()"

    with pytest.raises(ParameterError, match=r"no forward pass for Sine\(\)"):
        oracle.forward(Sine(), (), np.ones((2, 2)))


def test_rounding_changes_no_draw_and_no_branch(monkeypatch):
    """Samples are numbers below a threshold, and ReLU has a kink: float32 must fall on the same side of both."""
    distances, relu = [], _POINTWISE[ReLU]

    def rows(loss, z, rank, seed, step=0):
        random, (batch, d) = generator(seed, "samples", step), z.shape
        if loss == "cross_entropy":
            thresholds = np.stack([np.cumsum(oracle.softmax(row))[:-1] for row in z])[:, None, :]
            distances.append(np.abs(random.random((batch, rank, 1)) - thresholds).min())
        if loss == "binary_cross_entropy":
            distances.append(np.abs(random.random((batch, rank, d)) - oracle.sigmoid(z)[:, None, :]).min())
        return sampled(loss, z, rank, seed, step)

    def kinked(x):
        distances.append(np.abs(x.real).min())
        return relu(x)

    sampled = oracle.sampled_rows
    monkeypatch.setattr(oracle, "sampled_rows", rows)
    monkeypatch.setitem(_POINTWISE, ReLU, kinked)
    for case in cases():
        case.expect()
    assert len(distances) > 100
    assert min(distances) > 1e-4


DESCENT = {"lr": 0.2, "momentum": 0.3, "weight_decay": 0.2, "schedule": "linear"}
PRECONDITIONED = DESCENT | {"output_metric": "ggn", "rank": 1, "mass": 0.4, "batch": "mean", "kl_clip": 1e-4}
PRECONDITIONED |= {"metric_batch": 2, "refresh": 2}
SETTINGS = {
    SGD: ({"lr": 0.1, "momentum": 0.6}, DESCENT | {"nesterov": True}),
    Adam: (
        {"lr": 0.05},
        {"lr": 0.1, "schedule": "cosine", "beta1": 0.5, "beta2": 0.5, "epsilon": 0.1, "weight_decay": 0.2},
    ),
    Riemannian: ({"lr": 0.1, "rank": 2, "mass": 0.5}, PRECONDITIONED),
    Naive: ({"lr": 0.1, "rank": 2, "mass": 0.5}, PRECONDITIONED),
    KFAC: (
        {"lr": 0.1, "rank": 2, "damping": 0.3},
        DESCENT
        | {"factors": "exact", "rank": 1, "damping": 0.2, "damping_split": "eigen", "decay": 0.2, "refresh": 2}
        | {"kl_clip": 1e-4},
    ),
}
"""Settings of every method, and another value for each."""
SAME = {"solver", "workspace_mb", "sharing"}
"""Settings that make no difference to the result, here where no layer shares its weights."""


def path(method, seed=0):
    given, rng = examples.example("no bias"), np.random.default_rng(2)
    x, y = rng.normal(size=(4, 6, 4)), rng.integers(0, 3, (4, 6))
    losses, *blocks = trajectory(given.net, given.params, x, y, loss="cross_entropy", method=method, seed=seed)
    assert losses.shape == (4,)
    return np.concatenate(blocks)


@pytest.mark.parametrize("method", SETTINGS, ids=lambda cls: cls.name)
def test_the_reference_follows_every_setting(method):
    usual, changes = SETTINGS[method]
    assert set(changes) == set(method.model_fields) - SAME
    paths = [path(method(**usual)), *(path(method(**usual | {key: value})) for key, value in changes.items())]
    for index, one in enumerate(paths):
        for other in paths[:index]:
            assert np.linalg.norm(one - other) > 1e-4 * np.linalg.norm(one)


def test_the_reference_follows_the_seed():
    assert np.linalg.norm(path(Riemannian()) - path(Riemannian(), seed=1)) > 1e-4


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
from rbench.testing import equivalence_tests

test_right = equivalence_tests("numpy", dtypes=("float32",))
test_wrong = equivalence_tests("wrong")
test_absent = equivalence_tests("absent")
test_no_device = equivalence_tests("numpy", device="tpu", dtypes=("float32",))
"""


def test_equivalence_tests(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "mine-1.dist-info").mkdir()
    (tmp_path / "mine-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (tmp_path / "mine-1.dist-info" / "entry_points.txt").write_text("[rbench]\nmine = plugin\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    words = ["pytest", "-q", "-rfs", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_it.py"]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    wrong = [case for case in cases() if not verify(NoErf("float64"), [case])[0].passed]
    count = len(cases())
    assert f"{len(wrong)} failed, {2 * count - len(wrong)} passed, 3 skipped" in done.stdout
    assert "erf: from -4 to 4, and far out on wrong (cpu, float64): relative error inf, tolerance 1e-10" in done.stdout
    assert "ValueError: no erf" in done.stdout
    assert "test_it.py::test_wrong[float64-erf: from -4 to 4, and far out]" in done.stdout
    assert "the package 'absent' is not installed" in done.stdout
    assert "has no device 'tpu'" in done.stdout


class NoErf(NumpyBackend):
    def erf(self, x):
        raise ValueError("no erf")


def test_equivalence_tests_of_nothing():
    with pytest.raises(PluginError, match="no backend is called 'nowhere'"):
        equivalence_tests("nowhere")


def test_the_gate_starts_light():
    script = "import rbench.testing, sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"pytest", "torch", "jax", "cupy", "pandas", "sklearn"} == set()
