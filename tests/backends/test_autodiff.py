"""Every backend against PyTorch's and JAX's own differentiation of the same networks, written out a second time.

To the libraries the parameters of a layer are one vector, the weight in C order and then the bias: blocks flattened.
"""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

import rbench
from helpers import autodiff
from helpers.autodiff import Problem, convolutions, each, networks
from helpers.registered import get_or_skip
from rbench import Add, Conv2d, Copy, Flatten, Identity, Linear, MaxPool2d, ScaleShift, Tanh
from rbench.losses import CrossEntropy
from rbench.modules import Module
from rbench.modules.inputs import Patches
from rbench.solvers import SOLVERS
from rbench_numpy.backend import NumpyBackend

# PyTorch warns so of itself when its forward mode, the outer half of `torch.func.hessian`, is first used.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

RTOL, MASS = 1e-9, 0.3
SEED = 28
METRICS = [("identity", "stack"), ("ggn", "stack"), ("empirical_fisher", "stack"), ("ggn", "mean")]


def programs(library, problem, loss):
    """Outputs of one datum, its loss, and the mean loss of a batch."""

    def outputs(vectors, wires):
        return autodiff.evaluate(library, problem.net, iter(vectors), iter(wires))

    def of_datum(vectors, wires, y):
        return library.losses[loss](outputs(vectors, wires)[0], y)

    def of_batch(vectors, wires, y):
        return library.transforms.vmap(of_datum, (None, 0, 0))(vectors, wires, y).mean()

    return outputs, of_datum, of_batch


@functools.cache
def transposed(library, problem):
    """Outputs, and the data's rows of cotangents pulled back to the parameters and to the inputs."""
    outputs, *_ = programs(library, problem, None)

    def of_datum(vectors, wires, rows):
        values, transpose = library.transforms.vjp(outputs, vectors, wires)
        return values, *library.transforms.vmap(transpose)(rows)

    return library.run(library.transforms.vmap(of_datum, (None, 0, 0)), *problem.numbers[:3])


@functools.cache
def differentiated(library, problem, loss):
    """For each layer: gradient of the mean loss; the data's Jacobians, gradients, and Hessians of the loss in z."""
    at, (vectors, wires, _, targets) = library.transforms, problem.numbers
    outputs, of_datum, of_batch = programs(library, problem, loss)

    def everything(vectors, wires, y):
        (jacobians,) = at.vmap(at.jacrev(outputs), (None, 0))(vectors, wires)
        gradients = at.vmap(at.grad(of_datum), (None, 0, 0))(vectors, wires, y)
        hessians = at.vmap(at.hessian(library.losses[loss]))(*at.vmap(outputs, (None, 0))(vectors, wires), y)
        return at.grad(of_batch)(vectors, wires, y), jacobians, gradients, (hessians,) * len(vectors)

    return list(zip(*library.run(everything, vectors, wires, targets[loss]), strict=True))


def dense_metric(metric, treatment, jacobians, gradients, hessians):
    """Mass plus the mean of J_bᵀ H_b J_b, the mean outer product of gradients, or J̄ᵀ H̄ J̄."""
    if metric == "identity":
        hessians = np.broadcast_to(np.eye(hessians.shape[1]), hessians.shape)
    if metric == "empirical_fisher":
        jacobians, hessians = gradients[:, None, :], np.ones((len(gradients), 1, 1))
    if treatment == "mean":
        jacobians, hessians = (part.mean(axis=0, keepdims=True) for part in (jacobians, hessians))
    pulled = np.einsum("bki,bkl,blj->ij", jacobians, hessians, jacobians) / len(jacobians)
    return pulled + MASS * np.eye(len(pulled))


def agree(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=RTOL * np.linalg.norm(theirs), strict=True)


def flat(backend, block):
    return np.concatenate([backend.to_numpy(block[name]).ravel() for name in ("weight", "bias") if name in block])


def blocks(backend, problem):
    """The vectors of parameters as rbench takes them."""

    def block(layer, vector):
        weight, bias = np.split(vector, [layer.fan_out * layer.fan_in])
        return layer.block(backend.asarray(weight.reshape(layer.fan_out, -1)), backend.asarray(bias), backend)

    return tuple(map(block, problem.net.layers, problem.numbers[0]))


def arguments(backend, problem, loss):
    _, wires, _, targets = problem.numbers
    return (problem.net, blocks(backend, problem), wires, targets[loss]), {"loss": loss, "backend": backend}


def check_pullback(library, backend, problem, loss=None):
    outputs, at_vectors, at_inputs = transposed(library, problem)
    params, (wires, rows) = blocks(backend, problem), each(backend.asarray, problem.numbers[1:3])
    ours, tape = problem.net.forward(backend, params, wires)
    inner, layers = problem.net.pullback(backend, params, tape, rows, need_input=True)
    for one, other in zip((*ours, *inner), (*outputs, *at_inputs), strict=True):
        agree(backend.to_numpy(one), other)
    for layer, other in zip(layers, at_vectors, strict=True):
        left, right = backend.to_numpy(layer.cotangents), backend.to_numpy(layer.inputs)
        weight, bias = np.einsum("bkto,bti->bkoi", left, right), left.sum(axis=2)
        agree(np.concatenate([weight.reshape(*bias.shape[:2], -1), *[bias] * layer.bias], axis=2), other)


def check_gradient(library, backend, problem, loss):
    given, options = arguments(backend, problem, loss)
    ours = rbench.loss_gradient(*given, **options)
    for block, (gradient, *_) in zip(ours, differentiated(library, problem, loss), strict=True):
        agree(flat(backend, block), gradient)


def check_metrics(library, backend, problem, loss):
    given, options = arguments(backend, problem, loss)
    for metric, treatment in METRICS:
        ours = rbench.layer_metrics(*given, output_metric=metric, batch=treatment, mass=MASS, **options)
        for one, (_, *parts) in zip(ours, differentiated(library, problem, loss), strict=True):
            agree(one, dense_metric(metric, treatment, *parts))


def check_directions(library, backend, problem, loss):
    given, options = arguments(backend, problem, loss)
    for solver in SOLVERS:
        ours = rbench.riemannian_gradient(*given, output_metric="ggn", mass=MASS, solver=solver, **options)
        for block, (gradient, *parts) in zip(ours, differentiated(library, problem, loss), strict=True):
            agree(flat(backend, block), np.linalg.solve(dense_metric("ggn", "stack", *parts), gradient))


def check_hessian(library, backend, problem, loss):
    *_, of_batch = programs(library, problem, loss)
    vectors, wires, _, targets = problem.numbers
    ((hessian,),) = library.run(library.transforms.hessian(of_batch), vectors, wires, targets[loss])
    given, options = arguments(backend, problem, loss)
    (ours,) = rbench.layer_metrics(*given, output_metric="ggn", mass=MASS, **options)
    agree(ours, hessian + MASS * np.eye(len(hessian)))


@pytest.fixture(scope="module", params=[autodiff.torch_library, autodiff.jax_library], ids=["by torch", "by jax"])
def library(request):
    return request.param()


@pytest.fixture(scope="module", params=["numpy", "torch", "jax"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def backend(name):
    return get_or_skip(name)


@pytest.fixture(scope="module", params=autodiff.LOSSES)
def loss(request):
    return request.param


def examples(kinds, library, backend, check):
    """Call `check` with problems that are the same in every run and for every check, so that each is solved once."""
    # JAX compiles every operation anew for every size, and an oracle for every network: there only the network varies.
    sizes = st.just(3) if backend.name == "jax" else st.integers(1, 5)
    count = 3 if backend.name == "jax" else 6 if library.name == "jax" else 30
    if convolutions in kinds:
        count = 1 if backend.name == "jax" else 2 if library.name == "jax" else 20
    repeatable = settings(deadline=None, derandomize=True, max_examples=count)
    seed(SEED)(repeatable(given(autodiff.problems(kinds, sizes))(check)))()


def holds(check, kinds, library, backend, loss=None):
    examples(kinds, library, backend, lambda problem: check(library, backend, problem, loss))


@pytest.mark.parametrize(
    "kinds",
    [[networks], [networks, networks], [convolutions]],
    ids=["one", "two side by side", "convolutions"],
)
def test_forward_and_pullback(kinds, library, backend):
    holds(check_pullback, kinds, library, backend)


@pytest.mark.parametrize("check", [check_gradient, check_metrics, check_directions])
def test_derivatives_of_the_loss(check, library, backend, loss):
    holds(check, [networks], library, backend, loss)


@pytest.mark.parametrize("check", [check_gradient, check_metrics, check_directions])
def test_derivatives_through_convolutions(check, library, backend):
    holds(check, [convolutions], library, backend, "cross_entropy")


def test_the_ggn_of_one_linear_layer_is_the_hessian(library, backend, loss):
    holds(check_hessian, [autodiff.linear], library, backend, loss)


def properties(module):
    """The types of a module and its parts, and what its convolutions are like."""
    found = {type(module)}.union(*map(properties, getattr(module, "modules", ())))
    names = ("kernel", "stride", "padding", "bias") if isinstance(module, Conv2d) else ()
    return found | {(name, getattr(module, name)) for name in names}


def test_the_examples_hold_modules_of_every_kind():
    # Those for PyTorch, which need not be here to draw them.
    library, backend, found = SimpleNamespace(name="torch"), rbench.get_backend("numpy"), set()
    for kind in (networks, convolutions):
        examples([kind], library, backend, lambda problem: found.update(properties(problem.net)))
    public = {getattr(rbench, name) for name in rbench.__all__}
    modules = {item for item in public if isinstance(item, type) and issubclass(item, Module)} - {Module}
    windows = {"kernel": (1, 2, 3), "stride": (1, 2, 3), "padding": (0, 1), "bias": (True, False)}
    assert found >= modules | {(name, value) for name, values in windows.items() for value in values}


RESIDUAL = Linear(3, 2) >> Copy() >> (Tanh() * Identity()) >> Add() >> Linear(2, 3)
IMAGES = Conv2d(2, 2, 2, stride=2, padding=1) >> ScaleShift(2) >> MaxPool2d(2) >> Flatten() >> Linear(4, 3)
PROBLEMS = Problem(RESIDUAL, ((3,),), (3,), 3, seed=1), Problem(IMAGES, ((2, 6, 3),), (3,), 3, seed=1)
PULL, SCATTER, POOL = Patches.pull, NumpyBackend.scatter, MaxPool2d.pool


def transposed_mask(self, backend, windows):
    pooled, chosen = POOL(self, backend, windows)
    return pooled, np.swapaxes(chosen, 3, 5)


MUTANTS = {
    "derivative": (Tanh, lambda self, backend, x, y: 1 - y, check_pullback),
    "transpose": (Add, lambda self, backend, tape, rows: (rows[0], 2 * rows[0]), check_pullback),
    "values_and_cotangents": (CrossEntropy, lambda self, backend, z, y: (z[:, 0], z), check_gradient),
    "hessian_factor": (CrossEntropy, lambda self, backend, z: z[:, None, :], check_metrics),
    "pull": (Patches, lambda self, rows, weight: PULL(self, rows, weight[..., ::-1]), check_pullback),
    "scatter": (NumpyBackend, lambda *given: np.roll(SCATTER(*given), 1, axis=3), check_pullback),
    "pool": (MaxPool2d, transposed_mask, check_directions),
    "product": (Patches, lambda self, rows: rows[:, 0].T @ self.matrix[:, 0], check_gradient),
}


@pytest.mark.parametrize("method", MUTANTS)
def test_the_checks_notice_a_wrong(method, library, monkeypatch):
    backend = rbench.get_backend("numpy", dtype="float64")
    owner, wrong, check = MUTANTS[method]
    problem = PROBLEMS[owner in (Patches, NumpyBackend, MaxPool2d)]
    check(library, backend, problem, "cross_entropy")
    monkeypatch.setattr(owner, method, wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(library, backend, problem, "cross_entropy")
