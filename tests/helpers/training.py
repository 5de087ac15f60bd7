"""A few steps of a method, and the same by the gate's dense float64 reference."""

import numpy as np

from rbench.losses import get_loss
from rbench.methods import Batch, Problem
from rbench.random import generator
from rbench.testing._examples import example
from rbench.testing._method_cases import Training
from rbench.testing._networks import flat

SEED = 5


def train(backend, method, net, params, batches, loss="cross_entropy", *, rates=None, gradients=None):
    """The parameters before every step, each with the step's result; one step for each of the batches (x, y).

    `rates` are those of the steps, if they are not the method's; `gradients` maps that of a batch to the one given.
    """
    problem = Problem(backend, net, get_loss(loss))
    path = []
    for t, (x, y) in enumerate(batches):
        noise = None
        if method.samples:
            noise = problem.loss.noise(generator(SEED, "samples", t), len(x), method.samples, 3)
        given = gradients and gradients(problem.gradient(params, Batch(x, y))[1])
        batch = Batch(x, y, noise, given)
        state = path[-1][1].state if path else method.start(problem, params, batch)
        scalars = method.scalars(t, len(batches)) | ({"lr": rates[t]} if rates else {})
        step = method.step(problem, params, state, batch, scalars, method.phase(t))
        path.append((params, step))
        params = step.params
    return path


def trained(*given, **options):
    """The parameters after the last step of `train`."""
    return train(*given, **options)[-1][1].params


def assert_same(found, expected, start, rel=1e-10, least=1e-3):
    """Parameters are the expected ones, measured by how far these are from the start: at least `least`."""
    for one, other, before in zip(found, expected, start, strict=True):
        for key in one:
            moved = np.linalg.norm(np.asarray(other[key]) - np.asarray(before[key]))
            assert moved > least
            assert np.linalg.norm(np.asarray(one[key]) - np.asarray(other[key])) < rel * moved, key


def error_of_training(backend, network, method, loss="cross_entropy", steps=5):
    """Of losses before every step and final weights, over how far these are from where they began.

    The network is an example, or the name of one.
    """
    training = Training(example(network) if isinstance(network, str) else network, loss, method, steps)
    found, expected = training.step_by_step(backend), training.expected()
    starts = [np.zeros(steps), *map(flat, training.given.params)]
    return max(
        np.linalg.norm(np.ravel(a) - np.ravel(b)) / np.linalg.norm(np.ravel(b) - start)
        for a, b, start in zip(found, expected, starts, strict=True)
    )
