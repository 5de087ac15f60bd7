"""Fixtures: backends, a table of networks and losses, a plugin of faults, and a bench for tunes."""

import importlib.util
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import rbench
from helpers import tuning
from helpers.plugin_folder import install_faults
from helpers.registered import registered
from rbench import Add, Copy, Identity, Linear, ReLU, Sigmoid, Tanh
from rbench.testing._examples import Example


def pytest_addoption(parser):
    words = "a package that must be installed: without it the run fails, where its tests would be skipped"
    parser.addoption("--require", action="append", default=[], metavar="PACKAGE", help=words)
    words = "likewise a program, such as pdflatex, where the environment variable CI is set"
    parser.addoption("--require-program", action="append", default=[], metavar="PROGRAM", help=words)


def pytest_configure(config):
    for name in config.getoption("--require"):
        if importlib.util.find_spec(name) is None:
            raise pytest.UsageError(f"--require {name}: the package is not installed")
    for name in config.getoption("--require-program") if os.environ.get("CI") else ():
        if shutil.which(name) is None:
            raise pytest.UsageError(f"--require-program {name}: it is not installed; .ci/run installs it on Debian")


NETWORKS = {
    "one layer": Linear(4, 3),
    "no bias": Linear(4, 3, bias=False),
    "tanh": Linear(4, 5) >> Tanh() >> Linear(5, 3, bias=False) >> Tanh() >> Linear(3, 3),
    "residual": Linear(4, 4) >> Copy() >> ((Linear(4, 4) >> Tanh()) * Identity()) >> Add() >> Linear(4, 3),
    "branches": Copy() >> ((Linear(4, 3) >> Sigmoid()) * (Linear(4, 2) >> ReLU() >> Linear(2, 3))) >> Add(),
}
BATCH = 4


@pytest.fixture(scope="session")
def backend() -> rbench.Backend:
    return rbench.get_backend("numpy", dtype="float64")


@pytest.fixture(scope="session")
def single() -> rbench.Backend:
    return rbench.get_backend("numpy", dtype="float32")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def make_params():
    """Random parameters with biases that are not zero, as `init`'s are."""

    def make(net, rng):
        return tuple(
            {
                "weight": rng.normal(size=layer.weight_shape) / layer.fan_in**0.5,
                **({"bias": rng.normal(size=layer.fan_out)} if layer.bias else {}),
            }
            for layer in net.layers
        )

    return make


@pytest.fixture(scope="session", params=list(NETWORKS))
def network(request, make_params) -> Example:
    net, rng = NETWORKS[request.param], np.random.default_rng(3)
    params, x = make_params(net, rng), rng.normal(size=(BATCH, 4))
    targets = {
        "cross_entropy": rng.integers(0, 3, BATCH),
        "squared_error": rng.normal(size=(BATCH, 3)),
        "binary_cross_entropy": rng.random((BATCH, 3)),
    }
    return Example(net, params, (x,), request.param, targets)


@pytest.fixture(scope="session", params=["cross_entropy", "squared_error", "binary_cross_entropy"])
def loss(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The folder of `fault_plugin.py`, and the environment of processes that find it."""
    folder = tmp_path_factory.mktemp("plugins")
    return SimpleNamespace(folder=folder, env=install_faults(folder))


@pytest.fixture
def faults_found(plugin, monkeypatch):
    """Processes of this one find the plugin of faults."""
    for name in ("PYTHONPATH", "FAULTS"):
        monkeypatch.setenv(name, plugin.env[name])


@pytest.fixture
def bench(monkeypatch):
    """What becomes of cells, in place of processes; with the methods, the task and the suite of `tuning.PLUGIN`."""
    stands = tuning.Bench()
    monkeypatch.setattr("rbench.run.machine.run_isolated", stands.run)
    monkeypatch.setattr("rbench.run.machine.gate", tuning.passed)
    monkeypatch.setattr("rbench.run.machine.find_data", tuning.found)
    with registered(**tuning.PLUGIN):
        yield stands
