"""A few steps of a method, and the same by the gate's dense float64 reference."""

import numpy as np

from rbench.losses import get_loss
from rbench.methods import Batch, Problem
from rbench.random import generator
from rbench.testing._examples import example
from rbench.testing._method_cases import Training
from rbench.testing._networks import flat

SEED = 5


def train(backend, method, net, params, batches, loss="cross_entropy"):
    """The parameters before every step, each with the step's result; one step for each of the batches (x, y)."""
    problem = Problem(backend, net, get_loss(loss))
    state, path = method.init(problem, params), []
    for t, (x, y) in enumerate(batches):
        noise = None
        if method.samples:
            noise = problem.loss.noise(generator(SEED, "samples", t), len(x), method.samples, 3)
        scalars = method.scalars(t, len(batches))
        step = method.step(problem, params, state, Batch(x, y, noise), scalars, method.phase(t))
        path.append((params, step))
        params, state = step.params, step.state
    return path


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
