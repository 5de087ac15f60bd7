"""`rbench_torch.to_module` against the algebra: outputs, gradients, and parameters back and forth."""

import numpy as np
import pytest

import rbench
from helpers.pulled_back import pulled_back
from rbench import Linear, Module, Tanh
from rbench.errors import BackendError, ParameterError, ShapeError
from rbench.testing._examples import CONVOLUTIONS, MODULES, NETWORKS, example
from rbench.testing.case import native

torch = pytest.importorskip("torch")
rbench_torch = pytest.importorskip("rbench_torch")


@pytest.mark.parametrize("name", [*NETWORKS, *MODULES, *CONVOLUTIONS])
def test_a_module_is_the_network(name, backend, rng):
    given, outputs, rows, inputs, gradient = pulled_back(name, backend, rng)
    module = rbench_torch.to_module(given.net, given.params)
    wires = tuple(torch.tensor(wire, requires_grad=True) for wire in given.x)
    found = module(wires if len(wires) > 1 else wires[0])
    found = found if isinstance(found, tuple) else (found,)
    sum((z * torch.tensor(row)).sum() for z, row in zip(found, rows, strict=True)).backward()

    def check(ours, theirs):
        np.testing.assert_allclose(theirs.detach().numpy(), ours, rtol=1e-10, atol=1e-10 * np.abs(ours).max())

    for ours, theirs in zip(outputs, found, strict=True):
        check(ours, theirs)
    for ours, wire in zip(inputs, wires, strict=True):
        check(ours, wire.grad)
    weights = iter(module.parameters())
    for block in gradient:
        for key in given_order(block):
            check(block[key], next(weights).grad)
    assert next(weights, None) is None


def given_order(block):
    """The names of a block's arrays, the weight first."""
    return sorted(block, reverse=True)


@pytest.mark.parametrize("name", [*NETWORKS, *CONVOLUTIONS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_go_back_and_forth(name, dtype, rng):
    given = example(name)
    params = native(rbench.get_backend("torch", dtype=dtype), given.params)
    module = rbench_torch.to_module(given.net, params)
    other = tuple({key: array + 1 for key, array in block.items()} for block in params)
    for expected in (params, other):
        if expected is other:
            rbench_torch.load_params(module, other)
        for ours, theirs in zip(expected, rbench_torch.module_params(module), strict=True):
            assert list(ours) == list(theirs)
            assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    before = [array.clone() for block in params for array in block.values()]
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
    assert all(map(torch.equal, before, [array for block in params for array in block.values()]))


class Unknown(Tanh):
    pass


@pytest.mark.parametrize(
    ("net", "change", "error", "words"),
    [
        (Linear(2, 3) >> Unknown(), lambda params: params, ParameterError, r"Unknown\(\) cannot be made a module"),
        (Linear(2, 3), lambda params: params * 2, ParameterError, "2 parameter blocks"),
        (Linear(3, 2), lambda params: params, ShapeError, r"\(3, 2\), not \(2, 3\)"),
        (Linear(2, 3), lambda params: ({k: v.half() for k, v in params[0].items()},), BackendError, "float16"),
        (Linear(2, 3), lambda params: "weights", ParameterError, "'weights'"),
    ],
)
def test_what_cannot_be_a_module_is_named_in_torch(net: Module, change, error, words):
    params = Linear(2, 3).init("torch")
    with pytest.raises(error, match=words):
        rbench_torch.to_module(net, change(params))
