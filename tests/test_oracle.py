"""The gate's oracle shares no mathematics with rbench and is right itself; its methods follow every setting."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import rbench
from rbench.errors import ParameterError
from rbench.losses import get_loss
from rbench.methods import (
    EKFAC,
    KFAC,
    PRONG,
    SGD,
    SOAP,
    Adam,
    ModularNorm,
    Muon,
    Naive,
    NaturalGradient,
    Riemannian,
    Shampoo,
)
from rbench.modules import Linear, Module, ReLU
from rbench.random import generator
from rbench.testing import _examples as examples
from rbench.testing import _networks as networks
from rbench.testing import cases, oracle, relative_error
from rbench.testing.reference import trajectory

STRUCTURE = {"layers", "weight_shape", "fan_in", "fan_out", "n_parameters", "get_loss", "get_output_metric"}
DENSE = {"dense", "_dense_mean", "_dense_cotangent", "_dense_draw", "with_samples"}
"""What dense definitions are made of, beside `rbench.losses.dense`."""
PARTS = {"rbench.modules", "rbench.losses", "rbench.metrics", "rbench.solvers", "rbench.methods"}


def refuse(*args, **kwargs):
    raise AssertionError("the oracle called rbench's own mathematics")


def test_the_oracle_shares_no_mathematics_with_rbench(monkeypatch):
    """All expected values come out the same where nothing of rbench can compute but dense definitions."""
    right = {str(case): case.expected for case in cases()}
    examples.example.cache_clear()
    again = cases.__wrapped__()
    names = {info.name for info in pkgutil.walk_packages(rbench.__path__, "rbench.")} - {"rbench.losses.dense"}
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
            if not name.startswith("__") and name not in STRUCTURE | DENSE:
                monkeypatch.setattr(owner, name, refuse)


NETWORKS = examples.NETWORKS | examples.MODULES


def outputs(net, params, x):
    return np.concatenate([wire.reshape(len(wire), -1) for wire in networks.forward(net, params, x)], axis=1)


def differences(function, size):
    """Central differences (batch, D, size) of a function of a vector, at zero."""
    h = 1e-6
    return np.stack([(function(h * e) - function(-h * e)) / (2 * h) for e in np.eye(size)], axis=2)


@pytest.mark.parametrize("name", NETWORKS)
def test_input_jacobians_are_central_differences(name):
    given = examples.example(name)
    found = networks.input_jacobians(given.net, given.params, given.x)
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
            block = networks.shaped(networks.flat(given.params[index]) + step, layer)
            return outputs(given.net, (*given.params[:index], block, *given.params[index + 1 :]), given.x)

        np.testing.assert_allclose(given.jacobians[index], differences(moved, layer.n_parameters), atol=1e-7)


@pytest.mark.parametrize("name", [name for name in examples.NETWORKS if name != "jets"])  # whose components share
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
        in_space, out_space, forward, pullback, pushforward = (None,), None, None, None, None

        def __repr__(self):
            return "Sine()"

    with pytest.raises(ParameterError, match=r"no forward pass for Sine\(\)"):
        networks.forward(Sine(), (), np.ones((2, 2)))


def test_rounding_changes_no_draw_and_no_branch(monkeypatch):
    """Float32 falls on the same side of samples' thresholds and of ReLU's kink, and sees the same largest pixels."""
    distances, gaps, relu, largest = [], [], networks._POINTWISE[ReLU], networks._largest

    def watched(loss, z, rank, seed, step=0):
        random, (batch, d) = generator(seed, "samples", step), z.shape
        p = np.stack([get_loss(loss).dense.mean(row) for row in z])[:, None]
        if loss == "cross_entropy":
            distances.append(np.abs(random.random((batch, rank, 1)) - np.cumsum(p, axis=2)[:, :, :-1]).min())
        if loss == "binary_cross_entropy":
            distances.append(np.abs(random.random((batch, rank, d)) - p).min())
        return drawn(loss, z, rank, seed, step)

    def kinked(x):
        distances.append(np.abs(x.real).min())
        return relu(x)

    def compared(cut):
        gaps.append(np.diff(np.sort(cut.real.reshape(*cut.shape[:-2], -1))[..., -2:]).min())
        return largest(cut)

    drawn = oracle.drawn
    monkeypatch.setattr(oracle, "drawn", watched)
    monkeypatch.setattr(networks, "_largest", compared)
    monkeypatch.setitem(networks._POINTWISE, ReLU, kinked)
    for case in cases():
        case.expect()
    assert len(distances) > 100
    assert len(gaps) > 10
    assert min(distances + gaps) > 1e-4


DESCENT = {"lr": 0.2, "momentum": 0.3, "weight_decay": 0.2, "schedule": "linear"}
ADAPTIVE = {"lr": 0.05, "schedule": "cosine", "beta1": 0.5, "beta2": 0.5, "epsilon": 0.1, "weight_decay": 0.2}
PRECONDITIONED = DESCENT | {"output_metric": "ggn", "rank": 1, "mass": 0.4, "batch": "mean", "kl_clip": 1e-4}
PRECONDITIONED |= {"metric_batch": 2, "refresh": 2}
PRECONDITIONED |= {"rows": 0.4, "fit": "layers", "spring": True}
FITTED = ({"rank": 2, "fit": "layers", "trust": 0.05}, {"trust": 0.01, "fit_damping": 1.0})
REMEMBERED = ({"lr": 0.1, "rank": 2, "mass": "kronecker"}, {"damping": 0.3, "decay": 0.2, "factor_refresh": 2})
SEARCHED = ({"lr": 8.0, "rank": 2}, {"line_search": 5})
SETTINGS = {
    SGD: [({"lr": 0.1, "momentum": 0.6}, DESCENT | {"nesterov": True})],
    Adam: [({"lr": 0.1}, ADAPTIVE)],
    Riemannian: [
        ({"lr": 0.1, "rank": 2, "mass": 0.5}, PRECONDITIONED | {"coupling": "network"}), FITTED, REMEMBERED,
        SEARCHED,
    ],
    Naive: [({"lr": 0.1, "rank": 2, "mass": 0.5}, PRECONDITIONED), FITTED, REMEMBERED, SEARCHED],
    NaturalGradient: [
        (
            {"lr": 0.1, "rank": 2, "damping": 0.3, "iterations": 3, "tolerance": 0.0},
            DESCENT
            | {"output_metric": "ggn", "rank": 1, "damping": 0.2, "kl_clip": 1e-4, "metric_batch": 2, "fit": "scalar"}
            | {"line_search": 2, "iterations": 2, "tolerance": 0.2, "warm_start": 0.9, "precondition": 0.75},
        ),
        ({"lr": 0.1, "rank": 2, "damping": 0.01}, {"solve": "woodbury"}),
        ({"lr": 0.1, "rank": 2, "solve": "woodbury"}, {"refresh": 2}),
        FITTED,
    ],
    PRONG: [({"lr": 0.1, "refresh": 2}, DESCENT | {"epsilon": 0.3, "refresh": 1, "decay": 0.2})],
    EKFAC: [
        (
            {"lr": 0.1, "rank": 2, "damping": 0.3, "refresh": 3},
            DESCENT
            | {"factors": "exact", "rank": 1, "damping": 0.2, "decay": 0.2, "refresh": 2, "kl_clip": 1e-4}
            | {"metric_batch": 2, "fit": "scalar"},
        ),
        FITTED,
        SEARCHED,
    ],
    KFAC: [
        (
            {"lr": 0.1, "rank": 2, "damping": 0.3},
            DESCENT
            | {"factors": "exact", "rank": 1, "damping": 0.2, "damping_split": "eigen", "decay": 0.2, "refresh": 2}
            | {"kl_clip": 1e-4, "metric_batch": 2, "fit": "scalar"},
        ),
        FITTED,
        SEARCHED,
    ],
    Shampoo: [
        ({"lr": 0.1, "epsilon": 0.01}, DESCENT | {"decay": 0.5, "epsilon": 0.1, "refresh": 2, "graft": "sgd"}),
        ({"lr": 0.1, "graft": "adam"}, {"graft_epsilon": 0.1, "decay": None}),
    ],
    SOAP: [({"lr": 0.1, "refresh": 2}, ADAPTIVE | {"decay": 0.1, "refresh": 1})],
    Muon: [
        (
            {"lr": 0.1, "momentum": 0.6},
            ADAPTIVE
            | {"momentum": 0.3, "nesterov": False, "iterations": 2, "last": "muon", "adam_lr": 0.1},
        )
    ],
    ModularNorm: [
        ({"lr": 0.2}, ADAPTIVE | {"base": "sgd", "masses": (1, 3)}),
        ({"lr": 0.2, "base": "sgd"}, {"iterations": 4}),
    ],
}  # fmt: skip
"""Settings of every method, and other values with each of which it trains otherwise."""
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
    assert {key for _, changes in SETTINGS[method] for key in changes} == set(method.model_fields) - SAME
    for usual, changes in SETTINGS[method]:
        paths = [path(method(**usual)), *(path(method(**usual | {key: value})) for key, value in changes.items())]
        for index, one in enumerate(paths):
            for other in paths[:index]:
                assert np.linalg.norm(one - other) > 1e-4 * np.linalg.norm(one)


def test_the_reference_follows_the_seed():
    assert np.linalg.norm(path(Riemannian()) - path(Riemannian(), seed=1)) > 1e-4
