"""Shampoo, SOAP, Muon and the modular norm: their laws, and the gate's reference on other networks and settings."""

import numpy as np
import pytest

from helpers.training import error_of_training, train
from rbench import (
    Add,
    AvgPool2d,
    Conv2d,
    Copy,
    Equilibrium,
    Exp,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    ScaleShift,
    Sigmoid,
    Tanh,
)
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.methods import SOAP, Adam, Batch, ModularNorm, Muon, Problem, Shampoo
from rbench.methods.matrices import as_blocks, matrix_gradients
from rbench.methods.modular_sensitivity import downstream
from rbench.methods.muon import orthogonalised
from rbench.testing._matrix_reference import sensitivity

DESCENT = {"weight_decay": 0.1, "schedule": "linear"}
SHAMPOO = [
    Shampoo(lr=0.02, epsilon=0.01, decay=decay, refresh=refresh, **graft, **DESCENT)
    for decay in (None, 0.0, 0.9)
    for graft in ({}, {"graft": "sgd"}, {"graft": "adam", "graft_epsilon": 0.01})
    for refresh in (1, 3)
]
SOAPS = [
    SOAP(lr=0.02, epsilon=0.01, refresh=refresh, beta1=beta1, beta2=beta2, decay=decay, **DESCENT)
    for refresh in (3, 4)
    for beta1, beta2, decay in ((0.95, 0.95, 0.95), (0.0, 0.9, 0.95), (0.8, 0.0, 0.99))
]
MUONS = [
    Muon(lr=0.02, nesterov=nesterov, momentum=momentum, last=last, iterations=iterations, **DESCENT)
    for nesterov, momentum in ((True, 0.95), (False, 0.5), (True, 0.0))
    for last in ("muon", "adam")
    for iterations in (1, 5)
]
MODULAR = [
    ModularNorm(base=base, iterations=iterations, beta1=beta1, epsilon=0.01, **DESCENT)
    for base in ("adam", "sgd")
    for iterations in (1, 3)
    for beta1 in (0.0, 0.9)
]
WIDE = ["residual", "branches", "two wires", "strided images", "residual images", "largest pixels"]
FULL_RANK = ["residual", "branches", "no bias"]
"""Networks whose factors have no eigenvalue twice after three batches, so that there is one basis of eigenvectors."""


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("method", [*SHAMPOO[::5], *MUONS[::3], *MODULAR[::3]], ids=lambda method: method.spec)
def test_training_is_that_of_the_dense_reference_on_every_kind_of_layer(backend, method, name):
    assert error_of_training(backend, name, method, steps=6) < 1e-10


@pytest.mark.parametrize("method", [*SHAMPOO, *SOAPS, *MUONS, *MODULAR], ids=lambda method: method.spec)
def test_training_is_that_of_the_dense_reference_with_every_setting(backend, method):
    assert error_of_training(backend, "no bias", method, "squared_error", steps=9) < 1e-10


@pytest.mark.parametrize("name", FULL_RANK)
def test_soap_is_that_of_the_dense_reference_on_other_networks(backend, name):
    assert error_of_training(backend, name, SOAP(lr=0.02, epsilon=0.01, refresh=3), "squared_error", steps=9) < 1e-10


NET = Linear(4, 5) >> Tanh() >> Linear(5, 3)


@pytest.fixture
def params(make_params, rng):
    return make_params(NET, rng)


@pytest.fixture
def batches(rng):
    return [(rng.normal(size=(6, 4)), rng.normal(size=(6, 3))) for _ in range(5)]


def matrices(blocks):
    """Each block's weights, with the bias as a last column."""
    return [np.hstack([b["weight"].reshape(len(b["weight"]), -1), b["bias"][:, None]]) for b in blocks]


def path(backend, method, net, params, batches):
    """The weights after every step, without biases."""
    steps = train(backend, method, net, params, batches, "squared_error")
    return [np.concatenate([block["weight"].ravel() for block in step.params]) for _, step in steps]


def test_the_first_step_of_shampoo_has_singular_values_of_one(backend, params, batches):
    """With one gradient G = U S Vᵀ, L = U S² Uᵀ and R = V S² Vᵀ, so that Δ = U Vᵀ."""
    method = Shampoo(lr=1.0, momentum=0.0, epsilon=1e-20)
    ((_, step),) = train(backend, method, NET, params, batches[:1], "squared_error")
    _, gradients = matrix_gradients(Problem(backend, NET, get_loss("squared_error")), params, Batch(*batches[0]))
    for before, after, g in zip(matrices(params), matrices(step.params), gradients, strict=True):
        u, s, vt = np.linalg.svd(g, full_matrices=False)
        assert s[-1] > 1e-4
        np.testing.assert_allclose(before - after, u @ vt, atol=1e-6)


@pytest.mark.parametrize("graft", ["sgd", "adam"])
def test_grafting_keeps_the_direction_of_shampoo_and_takes_the_length_of_the_other(backend, params, batches, graft):
    given = {"lr": 1.0, "momentum": 0.0, "decay": 0.9}
    ((_, plain),) = train(backend, Shampoo(**given), NET, params, batches[:1], "squared_error")
    ((_, step),) = train(backend, Shampoo(graft=graft, **given), NET, params, batches[:1], "squared_error")
    _, gradients = matrix_gradients(Problem(backend, NET, get_loss("squared_error")), params, Batch(*batches[0]))
    for before, alone, after, g in zip(*map(matrices, (params, plain.params, step.params)), gradients, strict=True):
        length = np.linalg.norm(g if graft == "sgd" else g / (abs(g) + 1e-8))  # ŝ of one gradient is its square
        expected = (before - alone) * length / np.linalg.norm(before - alone)
        np.testing.assert_allclose(before - after, expected, rtol=1e-9, atol=1e-12)


def test_soap_is_adam_until_the_first_basis(backend, params, batches):
    settings = {"lr": 0.05, "beta1": 0.8, "beta2": 0.9, "weight_decay": 0.1}
    adam = path(backend, Adam(**settings), NET, params, batches)
    soap = path(backend, SOAP(refresh=3, **settings), NET, params, batches)
    np.testing.assert_allclose(soap[:3], adam[:3], rtol=1e-13)
    assert np.linalg.norm(soap[3] - adam[3]) > 1e-3


def test_the_basis_of_soap_is_made_of_eigenvectors(backend, params, batches):
    steps = train(backend, SOAP(refresh=2), NET, params, batches, "squared_error")
    for t, (_, step) in enumerate(steps):
        _, factors, bases, health = step.state
        assert np.isfinite(health).all()
        for pair, basis in zip(factors, bases, strict=True):
            for factor, q in zip(pair, basis, strict=True):
                turned = q.T @ factor @ q
                rest = abs(turned - np.diag(np.diag(turned))).max()
                assert (rest < 1e-12 * abs(turned).max()) == (t in (1, 3))
                np.testing.assert_allclose(q.T @ q, np.eye(len(q)), atol=1e-12)


TURNED = [
    Shampoo(lr=0.05, epsilon=1e-3), Shampoo(lr=0.05, epsilon=1e-3, graft="sgd", decay=None, refresh=2),
    Muon(lr=0.05, last="muon"), Muon(lr=0.05, last="muon", nesterov=False, weight_decay=0.1),
]  # fmt: skip


@pytest.mark.parametrize("method", [*TURNED, Adam(lr=0.05)], ids=lambda method: method.spec)
def test_turned_inputs_turn_the_weights_except_with_adam(backend, rng, method):
    net = Linear(4, 3, bias=False)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    weight = rng.normal(size=(3, 4))
    batches = [(rng.normal(size=(6, 4)), rng.normal(size=(6, 3))) for _ in range(5)]
    plain = path(backend, method, net, ({"weight": weight},), batches)
    other = path(backend, method, net, ({"weight": weight @ turn},), [(x @ turn, y) for x, y in batches])
    apart = [np.linalg.norm(p.reshape(3, 4) @ turn - o.reshape(3, 4)) for p, o in zip(plain, other, strict=True)]
    assert (max(apart) < 1e-12) == (method.name != "adam")


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (1, 5), (5, 1)])
def test_an_orthogonalised_matrix_has_its_singular_vectors_and_values_near_one(backend, rng, shape):
    matrix = rng.normal(size=shape)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    assert s[-1] > 0.002 * np.linalg.norm(s)
    found = orthogonalised(backend, matrix, 5)
    inner = u.T @ found @ vt.T
    np.testing.assert_allclose(u @ np.diag(np.diag(inner)) @ vt, found, atol=1e-12)
    assert 0.68 < np.diag(inner).min() <= np.diag(inner).max() < 1.21
    np.testing.assert_allclose(orthogonalised(backend, 1e9 * matrix, 5), found, atol=1e-12)
    np.testing.assert_allclose(orthogonalised(backend, matrix.T, 5), found.T, atol=1e-12)
    assert not orthogonalised(backend, 0 * matrix, 5).any()


def test_singular_values_from_two_thousandths_on_end_between_the_bounds(backend):
    """For a diagonal matrix the iteration acts on each value alone."""
    values = np.geomspace(0.002, 1, 200)
    found = [np.diag(orthogonalised(backend, np.diag([s, (1 - s * s) ** 0.5]), 5))[0] for s in values]
    assert 0.68 < min(found) < 0.69
    assert 1.20 < max(found) < 1.21


BRANCH = Copy() >> ((Linear(4, 4) >> Sigmoid() >> Linear(4, 4)) * Identity()) >> Add()
SENSITIVITIES = {
    "chain": (Linear(4, 5) >> Tanh() >> Linear(5, 3) >> ReLU(), [0.5**0.5, 0.5**0.5]),
    "residual": (BRANCH >> Linear(4, 3), [0.25, 1, 1]),
    "two residuals": (BRANCH >> BRANCH >> Linear(4, 3), [0.25 * 1.25, 1.25, 0.25, 1, 1]),
    "pools": (
        Conv2d(1, 2, 3) >> AvgPool2d(2) >> ScaleShift(2) >> MaxPool2d(2) >> Flatten() >> Linear(8, 3), [2, 2, 1],
    ),
    "wires": (Linear(4, 3) * Linear(5, 3) >> Add() >> Sigmoid() >> Copy() >> Add(), [0.5, 0.5]),
    "no sum": (Linear(4, 3) >> Copy() >> (Linear(3, 2) * ReLU()), [1 + 0.5**0.5, 1]),
}  # fmt: skip


@pytest.mark.parametrize(("net", "expected"), SENSITIVITIES.values(), ids=SENSITIVITIES)
def test_sensitivities_multiply_in_sequence_and_add_over_branches(net, expected):
    assert downstream(net) == pytest.approx(expected)
    assert [sensitivity(net, index) for index in range(len(expected))] == pytest.approx(expected)


def unit(net, params):
    """The parameters with every layer's norm at 1."""
    return tuple(
        {key: array / operator_norm(matrix) for key, array in block.items()}
        for block, matrix in zip(params, matrices(params), strict=True)
    )


def operator_norm(matrix):
    return np.linalg.norm(matrix, 2) * (matrix.shape[1] / matrix.shape[0]) ** 0.5


RESIDUAL = Copy() >> ((Linear(8, 8) >> Tanh()) * Identity()) >> Add()
BOUNDED = {
    "deep": (Linear(4, 30) >> Tanh() >> Linear(30, 7) >> Tanh() >> Linear(7, 20) >> Sigmoid() >> Linear(20, 3), 1),
    "residual": (Linear(4, 8) >> RESIDUAL >> Linear(8, 3), 2),
}
"""Networks, and the largest root mean square of a layer's inputs: behind a sum of two wires it is 2."""


@pytest.mark.parametrize("base", ["adam", "sgd"])
@pytest.mark.parametrize(("net", "largest"), BOUNDED.values(), ids=BOUNDED)
def test_outputs_move_by_no_more_than_the_rate(backend, make_params, rng, net, largest, base):
    """From weights of norm 1, for inputs of root mean square 1, to first order in η; and by a fair part of it."""
    lr = 1e-4
    params = unit(net, make_params(net, rng))
    x = rng.normal(size=(50, 4))
    x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True))
    method = ModularNorm(lr=lr, base=base, iterations=50)
    ((_, step),) = train(backend, method, net, params, [(x, rng.normal(size=(50, 3)))], "squared_error")
    moved = net.apply(backend, step.params, x) - net.apply(backend, params, x)
    assert 0.05 < np.sqrt(np.mean(moved**2, axis=1)).max() / lr < largest * (1 + 100 * lr)


@pytest.mark.parametrize("base", ["adam", "sgd"])
def test_gains_and_offsets_move_outputs_by_no_more_than_the_rate(backend, base):
    """By all of it where every gain and offset moves alike and inputs are 1."""
    net, x, lr = ScaleShift(4), np.ones((6, 4)), 1e-2
    params = net.init(backend)
    ((_, step),) = train(backend, ModularNorm(lr=lr, base=base), net, params, [(x, 3 * x)], "squared_error")
    np.testing.assert_allclose(net.apply(backend, step.params, x) - net.apply(backend, params, x), lr, rtol=1e-6)


@pytest.mark.parametrize("masses", [(), (1, 2, 0.5)])
@pytest.mark.parametrize("base", ["adam", "sgd"])
def test_every_layer_has_its_share_of_a_step_of_norm_eta(backend, make_params, rng, base, masses):
    net = BRANCH >> Linear(4, 3)
    params = make_params(net, rng)
    method = ModularNorm(lr=0.3, base=base, masses=masses, iterations=200)
    ((_, step),) = train(
        backend, method, net, params, [(rng.normal(size=(6, 4)), rng.normal(size=(6, 3)))], "squared_error"
    )
    weights = np.array(masses or (1, 1, 1))
    norms = [operator_norm(b - a) for b, a in zip(*map(matrices, (params, step.params)), strict=True)]
    scaled = weights.sum() / weights * np.array(SENSITIVITIES["residual"][1]) * norms
    np.testing.assert_allclose(scaled, 0.3, rtol=1e-6)


def test_the_norm_of_one_iteration_is_at_most_the_exact_one_and_becomes_it(backend, params, batches):
    """The steps are at least as long as they should be, and as long at the end, with one gradient at every step."""
    method = ModularNorm(lr=1e-9, base="sgd")
    steps = train(backend, method, NET, params, batches[:1] * 60, "squared_error")
    lengths = []
    for before, step in steps:
        moves = zip(*map(matrices, (before, step.params)), strict=True)
        lengths.append([operator_norm(b - a) / 5e-10 for b, a in moves])
    lengths = np.array(lengths)
    assert (lengths > 1 - 1e-5).all()
    assert (lengths[0] > 1 + 1e-3).all()
    np.testing.assert_allclose(lengths[-1], 1, rtol=1e-5)


METHODS = [Shampoo(), Shampoo(graft="adam"), SOAP(refresh=1), Muon(last="muon"), ModularNorm(), ModularNorm(base="sgd")]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.spec)
def test_a_layer_without_gradient_stands_still_and_moves_again(backend, params, batches, method):
    """Nothing reaches the first layer through weights of zero; the last one moves, and then the first."""
    params = (params[0], {"weight": params[1]["weight"] * 0, "bias": params[1]["bias"]})
    (_, first), (_, second) = train(backend, method, NET, params, batches[:2], "squared_error")
    np.testing.assert_array_equal(first.params[0]["weight"], params[0]["weight"])
    assert np.isfinite(matrices(second.params)[0]).all()
    assert np.linalg.norm(second.params[0]["weight"] - params[0]["weight"]) > 1e-4


@pytest.mark.parametrize(
    ("net", "settings", "words"),
    [
        (Linear(4, 3) >> Exp() >> Linear(3, 2), {}, r"no sensitivity for Exp\(\).*bound"),
        (Linear(4, 3) >> Equilibrium(3, 2), {}, r"no sensitivity for Equilibrium\(3, 2\).*bound"),
        (NET, {"masses": (1, 2, 3)}, "3 numbers for a network of 2 layers"),
    ],
)
def test_what_has_no_modular_norm_is_refused(backend, net, settings, words):
    with pytest.raises(SpecError, match=words):
        ModularNorm(**settings).check(Problem(backend, net, get_loss("squared_error")))


@pytest.mark.parametrize("graft", [None, "sgd"])
def test_an_epsilon_of_adam_without_its_length_is_refused(graft):
    with pytest.raises(SpecError, match=r"graft_epsilon=0\.1 is a setting of graft=adam: leave it out"):
        Shampoo(graft=graft, graft_epsilon=0.1)


@pytest.mark.parametrize("masses", [(1, 0), (-1, 1), (1, float("inf"))])
def test_masses_that_are_not_positive_are_refused(masses):
    with pytest.raises(ValueError, match="masses"):
        ModularNorm(masses=masses)


def test_matrices_and_blocks_are_the_same_numbers(backend, make_params, rng):
    net = Conv2d(2, 3, 2) >> ScaleShift(3) >> Flatten() >> Linear(12, 3, bias=False)
    problem, params = Problem(backend, net, get_loss("squared_error")), net.init(backend, 1)
    batch = Batch(rng.normal(size=(5, 2, 3, 3)), rng.normal(size=(5, 3)))
    loss, gradient = problem.gradient(params, batch)
    same, found = matrix_gradients(problem, params, batch)
    assert [g.shape for g in found] == [(3, 9), (6, 1), (3, 12)]
    assert same == loss
    for block, other in zip(gradient, as_blocks(problem, found), strict=True):
        assert block.keys() == other.keys()
        for key in block:
            np.testing.assert_array_equal(block[key], other[key])
