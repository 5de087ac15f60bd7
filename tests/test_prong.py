"""PRONG against a network that is reparametrised, against dense metrics, and its invariance."""

from itertools import product

import numpy as np
import pytest

import rbench
from helpers.training import error_of_training, train
from rbench import Flatten, Linear, Tanh
from rbench.errors import SpecError
from rbench.methods import PRONG
from rbench.testing._networks import flat, layer_inputs

LAYERS = Linear(4, 5), Linear(5, 4), Linear(4, 3)
NET = LAYERS[0] >> Tanh() >> LAYERS[1] >> Tanh() >> LAYERS[2]
STEPS, SIZE, EPSILON, RATE, MOMENTUM = 7, 6, 0.1, 0.05, 0.8


@pytest.fixture
def batches(rng):
    return [(rng.normal(size=(SIZE, 4)) + 0.5, rng.integers(0, 3, SIZE)) for _ in range(STEPS)]


class Reparametrised:
    """The network x ↦ V_3 U_3 (tanh(…) − c_3) + d_3, which rbench differentiates; SGD with momentum on V and d."""

    net = (
        Linear(4, 4) >> LAYERS[0] >> Tanh() >> Linear(5, 5) >> LAYERS[1] >> Tanh() >> Linear(4, 4) >> LAYERS[2]
    )  # a fixed layer, which whitens, before each

    def __init__(self, params):
        self.whitenings = [(np.eye(layer.fan_in), np.zeros(layer.fan_in)) for layer in LAYERS]
        self.layers = [dict(block) for block in params]
        self.velocity = [{"weight": 0 * block["weight"], "bias": 0 * block["bias"]} for block in params]

    def canonical(self):
        """W = V U and b = d − W c."""
        found = []
        for (u, c), layer in zip(self.whitenings, self.layers, strict=True):
            weight = layer["weight"] @ u
            found.append({"weight": weight, "bias": layer["bias"] - weight @ c})
        return tuple(found)

    def project(self, x):
        """New whitenings by the eigenvectors of the covariance, as the paper has them; the function stays."""
        params = self.canonical()
        inputs = layer_inputs(NET, params, x)
        for index, (points, (old_u, old_c), block) in enumerate(zip(inputs, self.whitenings, params, strict=True)):
            flattened = points[:, 0, :]
            c = flattened.mean(axis=0)
            values, vectors = np.linalg.eigh(np.cov(flattened.T, bias=True))
            u = np.diag((values + EPSILON) ** -0.5) @ vectors.T
            back = np.linalg.inv(u)
            velocity = self.velocity[index]
            of_weight = velocity["weight"] @ old_u  # how the velocity moves W, and below how it moves b
            of_bias = velocity["bias"] - of_weight @ old_c
            self.whitenings[index] = u, c
            self.layers[index] = {"weight": block["weight"] @ back, "bias": block["bias"] + block["weight"] @ c}
            self.velocity[index] = {"weight": of_weight @ back, "bias": of_bias + of_weight @ c}

    def step(self, backend, x, y):
        params = []
        for (u, c), layer in zip(self.whitenings, self.layers, strict=True):
            params += [{"weight": u, "bias": -u @ c}, layer]
        gradient = rbench.loss_gradient(self.net, tuple(params), x, y, loss="cross_entropy", backend=backend)
        for layer, velocity, g in zip(self.layers, self.velocity, gradient[1::2], strict=True):
            for key in layer:
                velocity[key] = MOMENTUM * velocity[key] + g[key]
                layer[key] = layer[key] - RATE * velocity[key]


@pytest.mark.parametrize("refresh", [1, 3, 99])
def test_it_is_sgd_in_the_whitened_coordinates(backend, make_params, rng, batches, refresh):
    params = make_params(NET, rng)
    method = PRONG(lr=RATE, epsilon=EPSILON, momentum=MOMENTUM, refresh=refresh, decay=0.0)
    other = Reparametrised(params)
    for t, ((before, step), (x, y)) in enumerate(
        zip(train(backend, method, NET, params, batches), batches, strict=True)
    ):
        if t % refresh == 0:
            other.project(x)
            for block, same in zip(before, other.canonical(), strict=True):  # the function is kept
                np.testing.assert_allclose(flat(same), flat(block), rtol=0, atol=1e-13)
        other.step(backend, x, y)
        for block, expected in zip(step.params, other.canonical(), strict=True):
            np.testing.assert_allclose(flat(block), flat(expected), rtol=0, atol=1e-12)
    assert all(np.abs(flat(block) - flat(first)).max() > 0.01 for block, first in zip(step.params, params, strict=True))


COMMON = {"lr": 0.1, "epsilon": 0.2}
SETTINGS = {
    "each step": {"refresh": 1},
    "refreshed": {"refresh": 2},
    "no memory": {"refresh": 2, "decay": 0.0},
    "no momentum, decayed": {"refresh": 3, "momentum": 0.0, "weight_decay": 0.1, "schedule": "cosine"},
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(
    ("network", "loss"),
    [
        *product(["no bias", "residual", "two wires", "strided images", "largest pixels"], ["cross_entropy"]),
        *product(["branches"], ["squared_error", "binary_cross_entropy"]),
    ],
)
def test_steps_are_those_of_the_dense_metric(backend, network, loss, settings):
    assert error_of_training(backend, network, PRONG(**COMMON | SETTINGS[settings]), loss) < 1e-11


def test_a_map_of_the_inputs_makes_no_difference(backend, make_params, rng):
    """x ↦ T x + s, with W T⁻¹ and b − W T⁻¹ s for the first layer: the losses are the same as ε → 0, SGD's are not."""
    params = make_params(NET, rng)
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    transform, shift = rng.normal(size=(4, 4)) + 2 * np.eye(4), 3 * rng.normal(size=4)
    weight = params[0]["weight"] @ np.linalg.inv(transform)
    mapped = ({"weight": weight, "bias": params[0]["bias"] - weight @ shift}, *params[1:])

    def losses(method, params, x):
        return [float(step.loss) for _, step in train(backend, method, NET, params, [(x, y)] * 8)]

    def gap(method):
        one, other = losses(method, params, x), losses(method, mapped, x @ transform.T + shift)
        return np.abs(np.subtract(one, other)).max()

    assert gap(PRONG(lr=0.1, epsilon=1e-11, refresh=3)) < 1e-7
    assert gap(PRONG(lr=0.1, epsilon=1.0, refresh=3)) > 1e-3
    assert gap(rbench.methods.SGD(lr=0.1)) > 1e-2


def test_the_inputs_are_whitened(backend, make_params, rng):
    params, net = make_params(NET, rng), NET
    x, y = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)) + 2, rng.integers(0, 3, 50)
    ((_, step),) = train(backend, PRONG(epsilon=1e-9), net, params, [(x, y)])
    for points, known in zip(layer_inputs(net, params, x), step.state[1], strict=True):
        root = np.linalg.cholesky(known.inverse).T  # a U with UᵀU = (Σ + ε)⁻¹
        white = (points[:, 0, :] - known.mean) @ root.T
        np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-7)
        np.testing.assert_allclose(white.T @ white / len(white), np.eye(white.shape[1]), atol=1e-5)


def test_constant_inputs_and_no_inputs_are_no_obstacle(single, rng):
    """A pixel that never changes has no variance: ε stands in for it, in float32 too."""
    net = Flatten() >> Linear(6, 3)
    x = np.concatenate([np.full((8, 3), 7.0), np.zeros((8, 2)), rng.normal(size=(8, 1))], axis=1)
    batch = single.asarray(x), single.labels(rng.integers(0, 3, 8))
    path = train(single, PRONG(lr=0.1, refresh=1), net, net.init(single, 0), [batch] * 5)
    losses = [float(step.loss) for _, step in path]
    assert losses == sorted(losses, reverse=True)
    assert all(np.isfinite(step.health).all() for _, step in path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epsilon": 0.0}, "epsilon=0"),
        ({"refresh": 0}, "refresh=0"),
        ({"decay": 1.0}, "decay=1"),
        ({"lr": -1}, "lr=-1"),
    ],
)
def test_settings_are_checked(settings, words):
    with pytest.raises(SpecError, match=words):
        PRONG(**settings)
