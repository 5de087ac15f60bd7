"""The CPU backends against each other: the same start, batches and noise, and the same weights after training."""

import itertools
import json
from functools import cache

import numpy as np
import pytest

from helpers.command import run
from helpers.registered import why_not
from rbench import Conv2d, Flatten, Linear, ReLU
from rbench.losses import get_loss
from rbench.methods import Problem
from rbench.plugins import get_backend
from rbench.run import Request
from rbench.train.batches import Batches
from rbench.train.cell import configured
from rbench.train.stepper import Stepper

STEPS, SEED, TOLERANCE = 200, 3, 1e-8
METHODS = ["riemannian[output_metric=ggn_mc,lr=0.3,mass=1]", "kfac[lr=0.3,damping=1]", "adam[lr=0.03]"]


def pair(one, other):
    """A case of two backends, skipped where one of them cannot be had."""
    reason = why_not(one) or why_not(other)
    marks = [pytest.mark.skip(reason=reason)] if reason else []
    return pytest.param(one, other, marks=marks, id=f"{one}-{other}")


PAIRS = [pair(*names) for names in itertools.combinations(("numpy", "torch", "jax"), 2)]


@cache
def task():
    (cell,) = {cell.task for cell in Request(tasks=("digits",)).cells()}
    (found,) = configured("tasks", cell)
    return found


@cache
def beginning(name, dtype):
    """Problem, batches and initial weights on a backend."""
    problem = Problem(get_backend(name, dtype=dtype, device="cpu"), task().network(), get_loss(task().loss))
    batches = Batches(problem, task().dataset(allow_unofficial=False), task().batch_size, SEED)
    return problem, batches, task().initial(problem.net, problem.backend, SEED)


@cache
def trained(name, spec, dtype="float64", several=False):
    """Weights after `STEPS` steps, the loss of every step, and how many calls made them; `several` uses loops."""
    problem, batches, params = beginning(name, dtype)
    (method,) = configured("methods", spec)
    stepper, losses, done = Stepper(problem, method, batches), [], 0
    state = method.init(problem, params)
    while done < STEPS:
        loops = several and stepper.loops_from(done, STEPS)
        params, state, loss, _ = (stepper.calls if loops else stepper.call)(done, STEPS)(params, state)
        losses.append(problem.backend.to_numpy(loss).reshape(-1))
        done += stepper.steps_per_call if loops else 1
    return arrays(problem.backend, params), np.concatenate(losses), len(losses)


def arrays(backend, params):
    """All weights and biases on the host, by layer and name."""
    return {(layer, key): backend.to_numpy(w) for layer, block in enumerate(params) for key, w in block.items()}


def apart(one, other):
    """The largest relative difference (Frobenius) of two sets of weights, array by array."""
    assert one.keys() == other.keys()
    return max(np.linalg.norm(one[key] - other[key]) / np.linalg.norm(one[key]) for key in one)


def test_the_settings_are_those_of_the_suite():
    assert set(METHODS) <= {cell.method for cell in Request(tasks=("digits",)).cells()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_start_batches_and_noise_are_the_same_numbers(one, other, dtype):
    (problem, batches, params), (other_problem, other_batches, other_params) = (
        beginning(one, dtype),
        beginning(other, dtype),
    )
    here, there = problem.backend.to_numpy, other_problem.backend.to_numpy
    weights, other_weights = arrays(problem.backend, params), arrays(other_problem.backend, other_params)
    assert weights.keys() == other_weights.keys()
    found = [(weights[key], other_weights[key]) for key in weights]
    steps = range(batches.steps_per_epoch - 2, batches.steps_per_epoch + 3)  # across the end of an epoch
    for step in steps:
        batch, other_batch = batches(step), other_batches(step)
        found += [(here(batch.x), there(other_batch.x)), (here(batch.y), there(other_batch.y))]
        found.append((here(batches.noise(step, 2)), there(other_batches.noise(step, 2))))
    several, other_several = batches(steps), other_batches(steps)
    found += [(here(several.x), there(other_several.x)), (here(several.y), there(other_several.y))]
    found.append((here(batches.noise(steps, 2)), there(other_batches.noise(steps, 2))))
    assert len(found) == 4 + 3 * (len(steps) + 1)
    for mine, theirs in found:
        assert mine.dtype == theirs.dtype
        assert mine.size > 0
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("spec", METHODS)
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_training_ends_at_the_same_weights(one, other, spec):
    (weights, losses, _), (other_weights, other_losses, _) = trained(one, spec), trained(other, spec)
    assert losses.shape == other_losses.shape == (STEPS,)
    assert losses[-20:].mean() < losses[:20].mean() / 3, "it has not trained"
    assert apart(weights, other_weights) <= TOLERANCE


@pytest.mark.parametrize("spec", METHODS)
@pytest.mark.parametrize("name", [pytest.param("jax", marks=pair("numpy", "jax").marks)])
def test_training_many_steps_a_call_ends_at_the_same_weights(name, spec):
    (weights, losses, _), (other_weights, other_losses, calls) = (
        trained("numpy", spec),
        trained(name, spec, several=True),
    )
    assert losses.shape == other_losses.shape == (STEPS,)
    assert calls < STEPS / 2
    assert apart(weights, other_weights) <= TOLERANCE


@pytest.mark.parametrize("name", [pytest.param("jax", marks=pair("numpy", "jax").marks)])
def test_networks_with_convolutions_make_a_step_a_call(name):
    images = Conv2d(1, 2, 3) >> ReLU() >> Flatten() >> Linear(72, 10)
    assert [get_backend(name).steps_per_call(net) for net in (task().network(), images)] == [10, 1]


@pytest.mark.parametrize("spec", METHODS)
def test_rounding_alone_would_be_seen_in_float32(spec):
    assert apart(trained("numpy", spec)[0], trained("numpy", spec, "float32")[0]) > 10 * TOLERANCE


def test_backends_side_by_side_in_one_table(tmp_path):
    others = {name: why_not(name) for name in ("torch", "jax")}
    other = next((name for name, reason in others.items() if reason is None), None)
    if other is None:
        pytest.skip("; ".join(others.values()))
    words = ["run", "-b", "numpy", "-b", other, "--steps", "30", "-t", "digits", "-m", "sgd", "-m", "riemannian"]
    done = run(*words, "--threads", 1, "--json", "-o", tmp_path / "run", timeout=600)
    assert done.code == 0, done.err
    rows = json.loads(done.out, parse_constant=pytest.fail)
    assert len(rows) == 8
    here, there = ({row["method"]: row for row in rows if row["backend"] == name} for name in ("numpy", other))
    assert here.keys() == there.keys()
    for method, row in here.items():
        for name in ("train_loss", "test_loss"):
            assert there[method][name] == pytest.approx(row[name], rel=1e-4)
        assert row["step_ratio_to_sgd"] > 0
        assert there[method]["step_ratio_to_sgd"] > 0
