"""An output metric and a loss of a plugin, those of docs/plugins.md: run, listed, and judged by the gate."""

import json
from functools import partial
from types import ModuleType

import numpy as np
import pytest

import rbench
from helpers import documentation
from helpers.command import run
from helpers.plugin_folder import install
from helpers.registered import get_or_skip
from rbench.errors import MetricError
from rbench.losses import DenseLoss
from rbench.methods import Riemannian
from rbench.metrics import OutputFactor
from rbench.plugins import plugins
from rbench.testing import _examples as examples
from rbench.testing import verify
from rbench.testing._registered_cases import registered_cases

BLOCKS = [
    block.text
    for block in documentation.blocks("docs/plugins.md")
    if "rbench_output_metrics" in block.text or "rbench_losses" in block.text
]
CHECKS = ["loss my-loss", "samples of my-loss", "metric my-metric"]
TASK = """
from rbench.hookspecs import hookimpl as task_hook


@task_hook
def rbench_tasks():
    from rbench.tasks.regression import Regression

    class Scaled(Regression):
        name, summary, loss, target = "scaled", "with a loss of a plugin", "my-loss", None

    return [Scaled]
"""


@pytest.fixture
def own():
    """The page's metric and loss, registered in this process; a module with their classes."""
    module = ModuleType("own")
    for block in BLOCKS:
        exec(block, vars(module))
    examples.example.cache_clear()
    plugins().manager.register(module, name="own")
    yield module
    plugins().manager.unregister(name="own")
    examples.example.cache_clear()


@pytest.fixture
def call(tmp_path):
    """Runs the command line in a process that finds the plugin."""
    return partial(run, env=install(tmp_path, "own", "\n".join([*BLOCKS, TASK])), cwd=tmp_path)


def missed(backend):
    """The checks of what is registered, each with whether it is missed."""
    results = verify(backend, list(registered_cases()))
    return {check: not all(r.passed for r in results if r.case.check == check) for check in CHECKS}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "cupy"])
def test_the_gate_passes_them_on(name, dtype, own):
    assert missed(get_or_skip(name, dtype)) == dict.fromkeys(CHECKS, False)


def test_there_are_no_such_cases_without_a_plugin():
    assert list(registered_cases()) == []


DENSE = {"value": lambda z, y: ((z - y) ** 2).sum() / 8, "cotangent": lambda z, y: (z - y) / 4, "mean": lambda z: z}


def wide_draws(random, z, samples):
    return z[:, None] + 3 * random.standard_normal((len(z), samples, z.shape[1]))


def without_root(self, backend, loss, z, y, noise):
    diagonal = backend.xp.sum(loss.hessian_factor(backend, z) ** 2, axis=1)
    return OutputFactor(diagonal[:, :, None] * backend.eye(z.shape[1]))


def raises(*arguments):
    raise RuntimeError("on purpose")


LOSS = {"loss my-loss"}
METRIC = {"metric my-metric"}
WRONG = {
    "a factor without a root": ("MyMetric", {"factor": without_root}, METRIC),
    "another dense metric": ("MyMetric", {"dense": lambda self, loss, z, y, drawn: np.eye(len(z))}, METRIC),
    "a metric that raises": ("MyMetric", {"factor": raises}, METRIC),
    "a check that raises, and a wrong factor": ("MyMetric", {"check": raises, "factor": without_root}, METRIC),
    "values": ("MyLoss", {"values": lambda self, b, z, y: b.xp.sum((z - y) ** 2, axis=1)}, LOSS),
    "cotangents": ("MyLoss", {"cotangents": lambda self, b, z, y: z - y}, LOSS),
    "cotangents in both": (
        "MyLoss",
        {
            "cotangents": lambda self, b, z, y: z - y,
            "dense": DenseLoss(**DENSE | {"cotangent": lambda z, y: z - y}, draw=wide_draws),
        },
        LOSS,
    ),
    "a Hessian": (
        "MyLoss",
        {"hessian_factor": lambda self, b, z: b.eye(z.shape[1]) + b.xp.zeros_like(z)[:, :, None]},
        LOSS | METRIC,
    ),
    "predictions": ("MyLoss", {"predictions": lambda self, b, z: 2 * z}, LOSS),
    "samples in both": (
        "MyLoss",
        {
            "sampled_factor": lambda self, b, z, noise: 3 * noise / (4 * noise.shape[1] ** 0.5),
            "dense": DenseLoss(**DENSE, draw=wide_draws),
        },
        {"samples of my-loss"},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_gate_finds(name, own, backend, monkeypatch):
    cls, attributes, checks = WRONG[name]
    for attribute, value in attributes.items():
        monkeypatch.setattr(getattr(own, cls), attribute, value)
    assert {check for check, is_missed in missed(backend).items() if is_missed} >= checks


def test_they_are_used_from_python(own, backend, rng):
    net = rbench.Linear(4, 3) >> rbench.Tanh() >> rbench.Linear(3, 2)
    given = net, net.init(backend), rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    ours, theirs = (rbench.loss_gradient(*given, loss=loss, backend=backend) for loss in ("my-loss", "squared_error"))
    np.testing.assert_allclose(ours[0]["weight"], theirs[0]["weight"] / 4, rtol=1e-12)
    common = {"loss": "my-loss", "backend": backend, "mass": 0.1}
    diagonal, whole = (rbench.layer_metrics(*given, output_metric=name, **common) for name in ("my-metric", "ggn"))
    np.testing.assert_allclose(diagonal[0], whole[0], rtol=1e-12)
    with pytest.raises(MetricError, match=r"'my-metrc' \(did you mean 'my-metric'\?\).*; or give a matrix"):
        rbench.layer_metrics(*given, output_metric="my-metrc", **common)
    assert Riemannian(output_metric="my-metric").spec.startswith("riemannian[output_metric=my-metric,")


def test_they_are_run_and_listed(call, tmp_path):
    method = "riemannian[output_metric=my-metric,lr=0.01]"
    done = call("run", "-t", "scaled", "-m", method, "-m", "kfac", "--steps", 20, "-o", tmp_path / "run")
    assert done.code == 0, done.out + done.err
    records = [json.loads(path.read_text()) for path in (tmp_path / "run/cells").glob("*.json")]
    assert [record["status"] for record in records] == ["ok", "ok"]
    assert all(record["history"][-1]["train_loss"] < record["history"][0]["train_loss"] for record in records)
    assert all("source of own" in record["environment"] for record in records)
    listed = json.loads(call("list", "--json").out)
    assert "my-metric" in [item["name"] for item in listed["output_metrics"]]
    assert "my-loss" in [item["name"] for item in listed["losses"]]


def test_a_plugin_s_metric_is_one_of_what_a_figure_depends_on(call, tmp_path):
    words = (
        "run",
        "-t",
        "digits[hidden=[4]]",
        "-m",
        "riemannian[output_metric=my-metric]",
        "--steps",
        2,
        "-o",
        "run",
    )
    assert call(*words).code == 0
    file = tmp_path / "own.py"
    file.write_text(file.read_text() + "\n# changed\n")
    done = call(*words)
    assert done.code == 2
    assert "source of own" in done.err


def test_the_gate_of_the_command_line_covers_them(call):
    done = call("verify", "-b", "numpy", "--dtype", "float64")
    assert done.code == 0, done.out + done.err
    assert all(check in done.out for check in CHECKS)
    short = call("verify", "-b", "numpy", "--dtype", "float64", "--short").out
    assert not any(check in short for check in CHECKS)
