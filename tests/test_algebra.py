"""Laws of the module algebra, adjointness of every pullback, and the errors of what does not fit."""

import operator
from functools import reduce
from typing import ClassVar

import numpy as np
import pytest

import rbench
from rbench import (
    GELU,
    Add,
    Copy,
    Dot,
    Exp,
    Flatten,
    Identity,
    JetLinear,
    JetTanh,
    Linear,
    ReLU,
    Sigmoid,
    Split,
    Tanh,
)
from rbench.errors import DtypeError, ParameterError, ShapeError
from rbench.modules import Sequential
from rbench.tasks.networks import mlp
from rbench.testing._networks import forward

BATCH, ROWS, STEP = 3, 2, 1e-30
MODULES = {  # module, shapes of its input wires
    "linear": (Linear(4, 3), [(4,)]),
    "no bias": (Linear(4, 3, bias=False), [(4,)]),
    "tanh": (Tanh(), [(4,)]),
    "relu": (ReLU(), [(2, 3)]),
    "sigmoid": (Sigmoid(), [(4,)]),
    "gelu": (GELU(), [(2, 3)]),
    "exp": (Exp(), [(4,)]),
    "identity": (Identity(), [(4,)]),
    "copy": (Copy(), [(2, 3)]),
    "add": (Add(), [(2, 3), (2, 3)]),
    "dot": (Dot(), [(2, 3), (2, 3)]),
    "split": (Split(2), [(2, 3)]),
    "jet linear": (JetLinear(2, 3), [(4, 2)]),
    "jet tanh": (JetTanh(), [(5, 2)]),
    "flatten": (Flatten(), [(2, 3)]),
    "flatten first": (Flatten() >> Linear(6, 2) >> Exp(), [(2, 3)]),
    "parallel": (Linear(4, 3) * Tanh() * Linear(2, 1), [(4,), (5,), (2,)]),
    "uneven wires": (Copy() * Add() * Linear(2, 2), [(3,), (3,), (3,), (2,)]),
    "residual": (Linear(4, 4) >> Copy() >> ((Linear(4, 4) >> Tanh()) * Identity()) >> Add() >> Linear(4, 2), [(4,)]),
    "weights on one branch": (Copy() >> (Tanh() * Linear(4, 4)) >> Add() >> Sigmoid(), [(4,)]),
}
F, G, H, K = Linear(4, 3), Linear(2, 5), Linear(3, 2), Linear(5, 1)


@pytest.fixture(params=list(MODULES))
def case(request, rng, make_params):
    module, shapes = MODULES[request.param]
    wires = tuple(rng.normal(size=(BATCH, *shape)) for shape in shapes)
    return module, make_params(module, rng), wires


def pull(backend, module, params, wires, rng, **options):
    """Random rows of cotangents, and what the pullback makes of them."""
    outputs, tape = module.forward(backend, params, wires)
    cotangents = tuple(rng.normal(size=(BATCH, ROWS, *wire.shape[1:])) for wire in outputs)
    return cotangents, *module.pullback(backend, params, tape, cotangents, **options)


def pairing(tangents, rows):
    """⟨row (b, k), tangent b⟩ over all wires, (batch, rows)."""
    pairs = zip(tangents, rows, strict=True)
    return sum(np.einsum("bi,bki->bk", t.reshape(BATCH, -1), r.reshape(BATCH, ROWS, -1)) for t, r in pairs)


def pushed(module, params, wires):
    """J t, the imaginary part of a complex step through the oracle's forward pass, for every output wire."""
    return [wire.imag / STEP for wire in forward(module, params, wires)]


def test_pullback_to_inputs_is_adjoint(case, backend, rng):
    module, params, wires = case
    cotangents, at_inputs, _ = pull(backend, module, params, wires, rng)
    tangents = [rng.normal(size=wire.shape) for wire in wires]
    outputs = pushed(module, params, tuple(w + 1j * STEP * t for w, t in zip(wires, tangents, strict=True)))
    np.testing.assert_allclose(pairing(tangents, at_inputs), pairing(outputs, cotangents), rtol=1e-11, atol=1e-13)


def test_pullback_to_parameters_is_adjoint(case, backend, rng):
    module, params, wires = case
    if not params:
        pytest.skip("the module has no weights")
    cotangents, _, layers = pull(backend, module, params, wires, rng)
    tangents = [{name: rng.normal(size=array.shape) for name, array in block.items()} for block in params]
    steps = zip(params, tangents, strict=True)
    moved = tuple({n: a + 1j * STEP * t[n] for n, a in block.items()} for block, t in steps)
    inner = np.zeros((BATCH, ROWS))
    for layer, tangent in zip(layers, tangents, strict=True):
        assert layer.bias == ("bias" in tangent)
        inner += np.einsum("bkto,bti,oi->bk", layer.cotangents, layer.inputs, tangent["weight"])
        inner += np.einsum("bkto,o->bk", layer.cotangents, tangent.get("bias", np.zeros(len(tangent["weight"]))))
    expected = pairing(pushed(module, moved, wires), cotangents)
    np.testing.assert_allclose(inner, expected, rtol=1e-11, atol=1e-13)


def test_pushforward_and_pullback_are_adjoint(case, backend, rng):
    module, params, wires = case
    tangents = tuple(rng.normal(size=wire.shape) for wire in wires)
    moved = tuple({name: rng.normal(size=array.shape) for name, array in block.items()} for block in params)
    _, tape = module.forward(backend, params, wires)
    cotangents, at_inputs, layers = pull(backend, module, params, wires, rng)
    inner = pairing(tangents, at_inputs)
    for layer, block in zip(layers, moved, strict=True):
        weights = np.concatenate([block["weight"], block["bias"][:, None]], axis=1) if layer.bias else block["weight"]
        ones = np.ones((*layer.inputs.shape[:2], int(layer.bias)))
        inner = inner + np.einsum(
            "bkto,bti,oi->bk", layer.cotangents, np.concatenate([layer.inputs, ones], axis=2), weights
        )
    pushed = module.pushforward(backend, params, tape, moved, tangents)
    np.testing.assert_allclose(pairing(pushed, cotangents), inner, rtol=1e-11, atol=1e-13)


def test_a_tangent_that_is_zero_need_not_be_there(case, backend, rng):
    module, params, wires = case
    moved = tuple({name: rng.normal(size=array.shape) for name, array in block.items()} for block in params)
    outputs, tape = module.forward(backend, params, wires)
    zeros = module.pushforward(backend, params, tape, moved, tuple(map(np.zeros_like, wires)))
    none = module.pushforward(backend, params, tape, moved, (None,) * len(wires))
    assert (not params) == all(tangent is None for tangent in none)
    for output, one, other in zip(outputs, zeros, none, strict=True):
        np.testing.assert_array_equal(one, np.zeros_like(output) if other is None else other)


def test_layers_do_not_depend_on_whether_the_input_is_needed(case, backend):
    module, params, wires = case
    _, _, full = pull(backend, module, params, wires, np.random.default_rng(1))
    _, at_inputs, lean = pull(backend, module, params, wires, np.random.default_rng(1), need_input=False)
    assert at_inputs is None
    assert len(lean) == len(full) == len(params)
    for one, other in zip(lean, full, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.cotangents, other.cotangents)


def test_rows_are_pulled_back_one_by_one(case, backend, rng):
    module, params, wires = case
    cotangents, at_inputs, _ = pull(backend, module, params, wires, rng)
    _, tape = module.forward(backend, params, wires)
    for k in range(ROWS):
        alone, _ = module.pullback(backend, params, tape, tuple(c[:, k : k + 1] for c in cotangents))
        for one, together in zip(alone, at_inputs, strict=True):
            np.testing.assert_allclose(one[:, 0], together[:, k], rtol=1e-13)


def test_pullback_of_a_composite_is_the_composite_of_pullbacks(backend, rng, make_params):
    first, second = Linear(4, 3) >> Tanh(), Linear(3, 2) >> Exp()
    params, x = make_params(first >> second, rng), rng.normal(size=(BATCH, 4))
    cotangents, whole, layers = pull(backend, first >> second, params, (x,), rng)
    middle, tape_1 = first.forward(backend, params[:1], (x,))
    _, tape_2 = second.forward(backend, params[1:], middle)
    at_middle, above = second.pullback(backend, params[1:], tape_2, cotangents)
    at_inputs, below = first.pullback(backend, params[:1], tape_1, at_middle)
    np.testing.assert_array_equal(whole[0], at_inputs[0])
    for one, other in zip(layers, below + above, strict=True):
        np.testing.assert_array_equal(one.cotangents, other.cotangents)


def test_parallel_acts_wire_by_wire(backend, rng, make_params):
    params, wires = make_params(F * G, rng), (rng.normal(size=(BATCH, 4)), rng.normal(size=(BATCH, 2)))
    left, right = (F * G).apply(backend, params, wires)
    np.testing.assert_array_equal(left, F.apply(backend, params[:1], wires[0]))
    np.testing.assert_array_equal(right, G.apply(backend, params[1:], wires[1]))


@pytest.mark.parametrize(("compose", "parts"), [(operator.rshift, (F, Tanh(), H)), (operator.mul, (F, Copy(), H))])
def test_composition_is_associative(compose, parts):
    a, b, c = parts
    assert compose(compose(a, b), c) == compose(a, compose(b, c))
    assert hash(compose(compose(a, b), c)) == hash(compose(a, compose(b, c)))
    assert compose(a, b) != compose(a, c) if compose is operator.mul else compose(a, b) != compose(b, c)


def test_identity_is_neutral(backend, rng, make_params):
    params, x = make_params(F, rng), rng.normal(size=(BATCH, 4))
    for module in (Identity() >> F, F >> Identity()):
        np.testing.assert_array_equal(module.apply(backend, params, x), F.apply(backend, params, x))


def test_interchange(backend, rng, make_params):
    f, g, h, k = (make_params(module, rng) for module in (F, G, H, K))
    wires = rng.normal(size=(BATCH, 4)), rng.normal(size=(BATCH, 2))
    by_stage, by_branch = (F * G) >> (H * K), (F >> H) * (G >> K)
    assert by_stage.in_space == by_branch.in_space
    assert by_stage.out_space(by_stage.in_space) == by_branch.out_space(by_branch.in_space)
    # The same modules in another order of blocks: f, g, h, k by stage and f, h, g, k by branch.
    results = by_stage.apply(backend, f + g + h + k, wires), by_branch.apply(backend, f + h + g + k, wires)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    _, one, layers_1 = pull(backend, by_stage, f + g + h + k, wires, np.random.default_rng(0))
    _, other, layers_2 = pull(backend, by_branch, f + h + g + k, wires, np.random.default_rng(0))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(layers_1, (layers_2[i] for i in (0, 2, 1, 3)), strict=True):
        np.testing.assert_array_equal(a.cotangents, b.cotangents)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Linear(2, 3) >> Linear(4, 1), r"takes \(4\), but is given \(3\)"),
        (lambda: Linear(2, 3) >> Tanh() >> Linear(4, 1), r"takes \(4\), but is given \(3\)"),
        (lambda: Copy() >> (Linear(3, 2) * Linear(3, 4)) >> Add(), r"\(2\) and \(4\)"),
        (lambda: Copy() >> Linear(3, 2), r"takes one wire, but is given 2"),
        (lambda: Linear(3, 2) >> (Tanh() * Tanh()), r"takes 2 wires, but is given 1: \(2\)"),
        (lambda: Linear(3, 2) >> Add(), r"two wires, but is given 1: \(2\)"),
        (lambda: Linear(0, 2), "in_features is 0"),
        (lambda: Linear(2, 2.0), "out_features is 2.0"),
        (lambda: Linear(2, 3) >> 5, "only modules can be composed, not int 5"),
        (lambda: Linear(2, 3) * "f", "only modules can be composed, not str 'f'"),
    ],
)
def test_modules_that_do_not_fit(make, words):
    with pytest.raises(ShapeError, match=words):
        make()


W, B, X, Y = np.ones((3, 4)), np.ones(3), np.ones((5, 4)), np.zeros(5, int)
GOOD = {"params": ({"weight": W, "bias": B},), "x": X, "y": Y, "loss": "cross_entropy"}


@pytest.mark.parametrize("function", [rbench.loss_gradient, rbench.riemannian_gradient, rbench.layer_metrics])
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"params": ()}, ParameterError, "0 parameter blocks for a network of 1 layers"),
        ({"params": ({"weight": W},)}, ParameterError, r"has \['weight'\]; it needs \['bias', 'weight'\]"),
        ({"params": ({"weight": W, "bias": B, "scale": B},)}, ParameterError, "'scale'"),
        ({"params": ({"weight": W.T, "bias": B},)}, ShapeError, r"weight has shape \(4, 3\), not \(3, 4\)"),
        (
            {"params": ({"weight": W, "bias": B.astype("f4")},)},
            DtypeError,
            "bias has dtype float32.* in float64",
        ),
        ({"x": np.ones((5, 3))}, ShapeError, r"takes \(4\), but is given \(3\)"),
        ({"x": np.ones((5, 2, 2))}, ShapeError, r"takes \(4\), but is given \(2, 2\)"),
        ({"x": np.ones(4)}, ShapeError, r"shape \(4,\); give \(batch, \*shape\)"),
        ({"x": (X, X)}, ShapeError, "one wire, but is given 2"),
        ({"x": X[:0], "y": Y[:0]}, ShapeError, "no data"),
        ({"x": X * 1j}, DtypeError, "x has dtype complex128"),
        ({"y": Y[:4]}, ShapeError, r"y has shape \(4,\).* shape \(5,\)"),
        ({"y": Y + 0.0}, DtypeError, "y has dtype float64.* integer class labels"),
        ({"y": Y + 3}, ShapeError, "labels from 3 to 3, but the network has 3 outputs: 0 to 2"),
        ({"y": Y - 1}, ShapeError, "labels from -1 to -1"),
        ({"loss": "squared_error"}, ShapeError, r"y has shape \(5,\); loss 'squared_error' needs \(5, 3\)"),
    ],
)
def test_arguments_that_do_not_fit(function, change, error, words, backend):
    given = {**GOOD, **change}
    with pytest.raises(error, match=words):
        function(Linear(4, 3), given["params"], given["x"], given["y"], loss=given["loss"], backend=backend)


def test_a_loss_needs_one_flat_output(backend, make_params, rng):
    net = Copy() >> (Linear(4, 3) * Linear(4, 3))
    with pytest.raises(ShapeError, match=r"one output of shape \(d\), but the network returns \(3\) and \(3\)"):
        rbench.loss_gradient(net, make_params(net, rng), X, Y, loss="cross_entropy", backend=backend)


def test_initial_parameters(backend, single):
    net = Linear(4, 5) >> Tanh() >> Linear(5, 3, bias=False)
    first, second = net.init(backend, seed=1)
    assert (first["weight"].shape, first["bias"].shape, set(second)) == ((5, 4), (5,), {"weight"})
    assert np.abs(first["weight"]).max() <= np.sqrt(6 / 9)
    assert not first["bias"].any()
    np.testing.assert_array_equal(net.init(single, seed=1)[0]["weight"], first["weight"].astype("f4"))
    assert not np.array_equal(net.init(backend, seed=2)[0]["weight"], first["weight"])


class Counted(Tanh):
    """Tanh that counts how often its shapes are asked for."""

    asked: ClassVar[int] = 0

    def out_space(self, space):
        Counted.asked += 1
        return super().out_space(space)


@pytest.mark.parametrize("length", [10, 300])
def test_a_chain_is_checked_once_while_it_is_made_link_by_link(length):
    Counted.asked = 0
    net = reduce(operator.rshift, [module for _ in range(length) for module in (Linear(3, 3), Counted())])
    assert Counted.asked == length
    assert net == Sequential(net.modules)
    assert net.spaces == (((3,),),) * 2 * length
    with pytest.raises(
        ShapeError, match=r"cannot put Linear\(4, 3\) after Counted\(\): .* takes \(4\), but is given \(3\)"
    ):
        net >> Linear(4, 3)


def test_a_chain_of_thousands_of_layers_computes_and_pulls_back(backend):
    net = mlp((2, *[1] * 4000, 2), "identity")
    ones = tuple({"weight": np.ones_like(b["weight"]), "bias": b["bias"]} for b in net.init(backend))
    outputs, tape = net.forward(backend, ones, (np.ones((1, 2)),))
    assert outputs[0].tolist() == [[2, 2]]
    rows, pulled = net.pullback(backend, ones, tape, (np.ones((1, 1, 2)),))
    assert rows[0].tolist() == [[[2, 2]]]
    assert [pair.cotangents.shape for pair in (pulled[0], pulled[-1])] == [(1, 1, 1, 1), (1, 1, 1, 2)]
    assert len(pulled) == 4001
