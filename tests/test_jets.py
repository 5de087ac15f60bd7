"""Networks on jets: values, slopes and Laplacians of the networks whose weights they have."""

from itertools import pairwise

import numpy as np
import pytest

import rbench
from helpers.autodiff import jax_library, torch_library
from helpers.registered import get_or_skip
from rbench import Dot, JetLinear, JetTanh, Linear, Split, Tanh
from rbench.errors import ShapeError
from rbench.tasks.networks import mlp
from rbench.testing._networks import forward, input_jacobians

SIZES = {"line": (1, 5, 2), "plane": (2, 7, 1), "deep": (3, 6, 4, 5, 2)}
BATCH = 4


def jets_of(sizes):
    """The network on jets that belongs to `mlp(sizes, "tanh")`."""
    net = JetLinear(*sizes[:2])
    for one, other in pairwise(sizes[1:]):
        net = net >> JetTanh() >> JetLinear(one, other)
    return net


def seeds(x):
    """The coordinates' jets (n, d + 2, d)."""
    n, d = x.shape
    return np.concatenate([x[:, None, :], np.broadcast_to(np.eye(d), (n, d, d)), np.zeros((n, 1, d))], axis=1)


@pytest.fixture(params=SIZES.values(), ids=SIZES)
def sizes(request):
    return request.param


@pytest.fixture
def given(sizes, rng, make_params):
    """An MLP with parameters, points, and the same parameters as the network on jets has them."""
    net = mlp(sizes, "tanh")
    params = make_params(net, rng)
    joined = tuple({"weight": np.column_stack([block["weight"], block["bias"]])} for block in params)
    return net, params, rng.normal(size=(BATCH, sizes[0])), joined


def test_jets_are_value_slopes_and_laplacian(given, sizes, backend):
    """The slopes by complex steps, the Laplacian by central differences of them."""
    net, params, x, joined = given
    jets = jets_of(sizes).apply(backend, joined, seeds(x))
    np.testing.assert_allclose(jets[:, 0], forward(net, params, x)[0], rtol=1e-13)

    def slopes(x):
        return input_jacobians(net, params, x)[0]

    np.testing.assert_allclose(jets[:, 1:-1], np.swapaxes(slopes(x), 1, 2), rtol=1e-12, atol=1e-14)
    steps = 1e-5 * np.eye(sizes[0])
    seconds = [(slopes(x + step) - slopes(x - step))[:, :, i] / 2e-5 for i, step in enumerate(steps)]
    np.testing.assert_allclose(jets[:, -1], sum(seconds), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("library", [torch_library, jax_library], ids=["by torch", "by jax"])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_the_laplacian_is_the_trace_of_the_librarys_hessian(library, name, given, sizes):
    _, params, x, joined = given
    library, backend = library(), get_or_skip(name)
    blocks = tuple((block["weight"], block["bias"]) for block in params)

    def u(x, blocks):
        *hidden, (weight, bias) = blocks
        for matrix, offset in hidden:
            x = library.functions[Tanh](matrix @ x + offset)
        return weight @ x + bias

    def at_points(x, blocks):
        at = library.transforms
        return tuple(at.vmap(function, (0, None))(x, blocks) for function in (u, at.jacrev(u), at.hessian(u)))

    value, slopes, hessian = library.run(at_points, x, blocks)
    native = tuple({"weight": backend.asarray(block["weight"])} for block in joined)
    jets = backend.to_numpy(jets_of(sizes).apply(backend, native, backend.asarray(seeds(x))))
    expected = [value[:, None], np.swapaxes(slopes, 1, 2), np.trace(hessian, axis1=2, axis2=3)[:, None]]
    np.testing.assert_allclose(jets, np.concatenate(expected, axis=1), rtol=1e-11, atol=1e-12)


def test_they_start_from_the_weights_of_the_same_layers(sizes, backend):
    for scheme in ("glorot", "lecun"):
        pairs = zip(*(net.init(backend, 3, scheme) for net in (jets_of(sizes), mlp(sizes, "tanh"))), strict=True)
        for ours, plain in pairs:
            np.testing.assert_array_equal(ours["weight"], np.column_stack([plain["weight"], plain["bias"]]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: JetLinear(2, 3).out_space(((4, 3),)), r"JetLinear\(2, 3\) takes \(any, 2\), but is given \(4, 3\)"),
        (lambda: JetLinear(2, 3).out_space(((2,),)), r"takes \(any, 2\), but is given \(2\)"),
        (lambda: Linear(2, 3) >> JetTanh(), r"JetTanh\(\) takes jets \(components, functions\), but is given \(3\)"),
        (lambda: JetTanh().out_space(((2, 5),)), r"a value, one derivative at least and a Laplacian, but .* \(2, 5\)"),
        (lambda: JetLinear(0, 3), "JetLinear: in_features is 0; give an integer of at least 1"),
        (lambda: Split(0), "Split: size is 0; give an integer of at least 1"),
        (lambda: Split(2).out_space(((4, 2),)), r"Split\(2\) takes a last axis of more than 2, but is given \(4, 2\)"),
        (lambda: Split(2).out_space(((),)), r"Split\(2\) takes a last axis of more than 2, but is given \(\)"),
        (lambda: Dot().out_space(((4, 2), (4, 3))), r"Dot\(\) takes two equal shapes, but is given \(4, 2\) and"),
        (lambda: Linear(2, 3) >> Dot(), r"Dot\(\) takes two wires, but is given 1: \(3\)"),
    ],
)
def test_what_does_not_fit(make, words):
    with pytest.raises(ShapeError, match=words):
        make()


@pytest.mark.parametrize("module", [JetLinear(2, 3), JetTanh(), Split(2), Dot(), Split(1) >> Dot()], ids=repr)
def test_the_words_of_a_module_make_it_again(module):
    again = eval(repr(module), {name: getattr(rbench, name) for name in rbench.__all__})
    assert (again, hash(again)) == (module, hash(module))
