"""Networks on jets: values, slopes and Laplacians of the networks that they are made of; the task `poisson`."""

from itertools import pairwise

import numpy as np
import pytest

import rbench
from helpers.autodiff import jax_library, torch_library
from helpers.registered import get_or_skip
from rbench import Dot, JetLinear, JetTanh, Linear, Split, Tanh
from rbench.errors import ShapeError
from rbench.losses import get_loss
from rbench.metrics import Batch, Problem
from rbench.tasks.networks import mlp
from rbench.tasks.poisson import Poisson
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


def sines(x):
    """Value, slopes and Laplacian of Π_i sin(π x_i) at points (n, d), written out: jets (n, d + 2)."""
    value = np.prod(np.sin(np.pi * x), axis=1, keepdims=True)
    slopes = np.pi * np.cos(np.pi * x) * value / np.sin(np.pi * x)
    return np.concatenate([value, slopes, -x.shape[1] * np.pi**2 * value], axis=1)


@pytest.mark.parametrize(
    "task", [Poisson(), Poisson(dimension=3, interior=50, boundary=30)], ids=lambda task: task.spec
)
def test_the_exact_solution_has_no_residual(task):
    """Of the network nothing is used: the operators of the data, applied to the jets of the formula."""
    data, d = task.load(False), task.dimension
    with np.errstate(divide="ignore", invalid="ignore"):
        for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
            jets = np.nan_to_num(sines(x[:, 0, :d]))  # slopes on the boundary are 0/0, and have no coefficient
            np.testing.assert_allclose((jets * x[:, :, d]).sum(axis=1), y[:, 0], atol=1e-12 * np.abs(y).max())
    inside, edge = (slice(task.interior), slice(task.interior, None))
    assert np.all((data.x_train[inside, 0, :d] > 0) & (data.x_train[inside, 0, :d] < 1))
    assert np.all(np.isin(data.x_train[edge, 0, :d], (0, 1)).sum(axis=1) == 1)
    faces = np.abs(data.x_train[edge, 0, :d] - 0.5) == 0.5
    assert faces.any(axis=0).all()
    for x in (data.x_train, data.x_test):
        np.testing.assert_array_equal(x[:, :, :d], seeds(x[:, 0, :d]))


def test_the_loss_is_that_of_the_field(backend, rng, make_params):
    """(1/2N) Σ (Δu + f)² + (1/2M) Σ u², with u's derivatives in closed form for one hidden layer."""
    task = Poisson(interior=40, boundary=7, hidden=(5,))
    data, net = task.dataset(), task.network()
    params = make_params(net, rng)
    (a, b), (c, offset) = ((block["weight"][:, :-1], block["weight"][:, -1]) for block in params)
    x = data.x_train[:, 0, :2]
    t = np.tanh(x @ a.T + b)
    u = t @ c[0] + offset[0]
    laplacian = (-2 * t * (1 - t**2) * (a**2).sum(axis=1)) @ c[0]
    residual = laplacian[:40] + 2 * np.pi**2 * np.sin(np.pi * x[:40, 0]) * np.sin(np.pi * x[:40, 1])
    expected = np.mean(residual**2) / 2 + np.mean(u[40:] ** 2) / 2
    problem = Problem(backend, net, get_loss(task.loss))
    np.testing.assert_allclose(problem.value(params, Batch(data.x_train, data.y_train)), expected, rtol=1e-12)
    at_test = mlp((2, 5, 1), "tanh"), tuple({"weight": w, "bias": v} for w, v in ((a, b), (c, offset)))
    np.testing.assert_allclose(
        net.apply(backend, params, data.x_test), forward(*at_test, data.x_test[:, 0, :2])[0], rtol=1e-12
    )
