"""Every backend against PyTorch's and JAX's own differentiation of the same networks, written out a second time.

To the libraries the parameters of a layer are one vector, the weight in C order and then the bias: blocks flattened.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

import rbench
from rbench import GELU, Add, Copy, Exp, Flatten, Identity, Linear, ReLU, Sigmoid, Tanh
from rbench.errors import BackendError, PluginError
from rbench.losses import LOSSES, CrossEntropy
from rbench.modules import Parallel, Sequential
from rbench.solvers import SOLVERS

# PyTorch warns so of itself when its forward mode, the outer half of `torch.func.hessian`, is first used.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

RTOL, MASS, ROWS = 1e-9, 0.3, 2
SEED = 28  # its few examples hold modules of every kind, and every size
METRICS = [("identity", "stack"), ("ggn", "stack"), ("empirical_fisher", "stack"), ("ggn", "mean")]
# Exp after Exp would overflow. ReLU's kink, which is met, needs no care: rbench and both libraries have slope 0 there.
POINTWISE = (Tanh(), Sigmoid(), GELU(), ReLU(), Tanh() >> Exp())


@dataclass(frozen=True)
class Problem:
    """A network, the shapes of its inputs, the sizes of its outputs, how many data, and the seed of all numbers."""

    net: rbench.Module
    shapes: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]
    batch: int
    seed: int

    @functools.cached_property
    def numbers(self):
        """Vectors of parameters, inputs, rows of cotangents, and targets for every loss."""
        rng, real = np.random.default_rng(self.seed), (self.batch, self.outputs[0])
        vectors = tuple(rng.normal(size=layer.n_parameters) / layer.fan_in**0.5 for layer in self.net.layers)
        wires = tuple(rng.normal(size=(self.batch, *shape)) for shape in self.shapes)
        rows = tuple(rng.normal(size=(self.batch, ROWS, size)) for size in self.outputs)
        targets = rng.integers(0, real[1], self.batch), rng.normal(size=real), rng.random(real)
        return vectors, wires, rows, dict(zip(LOSSES, targets, strict=True))


@st.composite
def maps(draw, n, m, depth, sizes):
    """A module from (n,) to (m,)."""

    def inside(n, m):
        return draw(maps(n, m, draw(st.integers(0, depth - 1)), sizes))

    def bracketed(operation, *parts):
        if draw(st.booleans()):
            return functools.reduce(operation, parts)
        return functools.reduce(lambda right, left: operation(left, right), reversed(parts))

    if not depth:
        linear = Linear(n, m, bias=draw(st.booleans()))
        return draw(st.sampled_from([linear, *POINTWISE])) if n == m else linear
    k, j = draw(sizes), draw(sizes)
    match draw(st.sampled_from(["chain", "residual", "stages", "three"])):
        case "chain":
            return bracketed(operator.rshift, inside(n, k), draw(st.sampled_from(POINTWISE)), inside(k, m))
        case "residual":
            branches = bracketed(operator.mul, *draw(st.permutations([inside(m, m), Identity()])))
            return bracketed(operator.rshift, inside(n, m), Copy(), branches, Add())
        case "stages":
            return Copy() >> (inside(n, k) * inside(n, j)) >> (inside(k, m) * inside(j, m)) >> Add()
    branches = bracketed(operator.mul, inside(n, m), inside(n, m), inside(n, m))
    return bracketed(operator.rshift, Copy(), Copy() * Identity(), branches, Identity() * Add(), Add())


@st.composite
def networks(draw, sizes):
    """A network with weights that ends in a vector; shapes of its inputs; size of its output."""
    n, m, size = draw(sizes), draw(sizes), draw(sizes)
    match draw(st.sampled_from(["vector", "matrix", "pair"])):
        case "vector":
            net, shapes = draw(maps(n, size, 2, sizes)), ((n,),)
        case "matrix":
            net, shapes = draw(st.sampled_from(POINTWISE)) >> Flatten() >> draw(maps(n * m, size, 1, sizes)), ((n, m),)
        case "pair":
            net, shapes = (draw(maps(n, size, 1, sizes)) * draw(maps(m, size, 1, sizes))) >> Add(), ((n,), (m,))
    return (net if net.layers else net >> Linear(size, size)), shapes, size


@st.composite
def problems(draw, kinds, sizes):
    """Networks of the kinds side by side."""
    nets, shapes, outputs = zip(*draw(st.tuples(*(kind(sizes) for kind in kinds))), strict=True)
    # From 100 on Hypothesis would try constants of the modules that happen to be loaded, and examples would vary.
    seed = draw(st.integers(0, 99))
    return Problem(functools.reduce(operator.mul, nets), sum(shapes, ()), outputs, draw(sizes), seed)


def linear(sizes):
    """One layer alone."""
    return st.builds(lambda n, m, bias: (Linear(n, m, bias), ((n,),), m), sizes, sizes, st.booleans())


@dataclass(frozen=True, eq=False)
class Library:
    """What an oracle is made of: `transforms` has vmap, vjp, grad, jacrev and hessian."""

    name: str
    array: Callable[[Any], Any]
    compile: Callable[[Any], Any]
    transforms: Any
    functions: dict[type, Callable[[Any], Any]]
    losses: dict[str, Callable[[Any, Any], Any]]

    def run(self, function, *arguments):
        """From NumPy to NumPy."""
        return each(np.asarray, self.compile(function)(*each(self.array, arguments)))


@functools.cache
def torch_library():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    f = torch.nn.functional
    functions = {Tanh: torch.tanh, Sigmoid: torch.sigmoid, GELU: f.gelu, ReLU: f.relu, Exp: torch.exp}
    losses = {
        "cross_entropy": f.cross_entropy,
        "squared_error": lambda z, y: f.mse_loss(z, y, reduction="sum") / 2,
        "binary_cross_entropy": lambda z, y: f.binary_cross_entropy_with_logits(z, y, reduction="sum"),
    }
    return Library("torch", torch.tensor, lambda function: function, torch.func, functions, losses)


@functools.cache
def jax_library():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    nn, gelu = jax.nn, functools.partial(jax.nn.gelu, approximate=False)
    functions = {Tanh: nn.tanh, Sigmoid: nn.sigmoid, GELU: gelu, ReLU: nn.relu, Exp: jax.numpy.exp}
    losses = {
        "cross_entropy": lambda z, y: -nn.log_softmax(z)[y],
        "squared_error": lambda z, y: ((z - y) ** 2).sum() / 2,
        "binary_cross_entropy": lambda z, y: (nn.softplus(z) - y * z).sum(),
    }
    return Library("jax", jax.numpy.asarray, jax.jit, jax, functions, losses)


def each(function, tree):
    """Apply a function to every array of nested tuples."""
    return tuple(each(function, part) for part in tree) if isinstance(tree, tuple) else function(tree)


def evaluate(library, module, vectors, wires):
    """The outputs for one datum. A module takes its parameters and wires off the iterators, as its type says."""
    match module:
        case Sequential():
            for part in module.modules:
                wires = iter(evaluate(library, part, vectors, wires))
            return tuple(wires)
        case Parallel():
            return tuple(wire for part in module.modules for wire in evaluate(library, part, vectors, wires))
        case Copy():
            return (next(wires),) * 2
        case Add():
            return (next(wires) + next(wires),)
        case Identity():
            return (next(wires),)
        case Flatten():
            return (next(wires).reshape(-1),)
        case Linear(n, m, bias):
            vector, x = next(vectors), next(wires)
            return (vector[: n * m].reshape(m, n) @ x + (vector[n * m :] if bias else 0),)
    return (library.functions[type(module)](next(wires)),)


def programs(library, problem, loss):
    """Outputs of one datum, its loss, and the mean loss of a batch."""

    def outputs(vectors, wires):
        return evaluate(library, problem.net, iter(vectors), iter(wires))

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
        return layer.block(backend.asarray(weight), backend.asarray(bias), backend)

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


@pytest.fixture(scope="module", params=[torch_library, jax_library], ids=["by torch", "by jax"])
def library(request):
    return request.param()


@pytest.fixture(scope="module", params=["numpy", "torch", "jax"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def backend(name):
    try:
        return rbench.get_backend(name, dtype="float64")
    except (BackendError, PluginError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=list(LOSSES))
def loss(request):
    return request.param


def holds(check, kinds, library, backend, loss=None):
    """Check examples that are the same in every run and for every check, so that each is differentiated once."""
    # JAX compiles every operation anew for every size, and an oracle for every network: there only the network varies.
    sizes = st.just(3) if backend.name == "jax" else st.integers(1, 5)
    examples = 3 if backend.name == "jax" else 6 if library.name == "jax" else 30
    repeatable = settings(deadline=None, derandomize=True, max_examples=examples)
    seed(SEED)(repeatable(given(problems(kinds, sizes))(lambda problem: check(library, backend, problem, loss))))()


@pytest.mark.parametrize("kinds", [[networks], [networks, networks]], ids=["one", "two side by side"])
def test_forward_and_pullback(kinds, library, backend):
    holds(check_pullback, kinds, library, backend)


@pytest.mark.parametrize("check", [check_gradient, check_metrics, check_directions])
def test_derivatives_of_the_loss(check, library, backend, loss):
    holds(check, [networks], library, backend, loss)


def test_the_ggn_of_one_linear_layer_is_the_hessian(library, backend, loss):
    holds(check_hessian, [linear], library, backend, loss)


RESIDUAL = Linear(3, 2) >> Copy() >> (Tanh() * Identity()) >> Add() >> Linear(2, 3)
MUTANTS = {
    "slope": (Tanh, lambda self, backend, x, y: 1 - y, check_pullback),
    "transpose": (Add, lambda self, backend, tape, rows: (rows[0], 2 * rows[0]), check_pullback),
    "cotangents": (CrossEntropy, lambda self, backend, z, y: z, check_gradient),
    "hessian_factor": (CrossEntropy, lambda self, backend, z: z[:, None, :], check_metrics),
}


@pytest.mark.parametrize("method", MUTANTS)
def test_the_checks_notice_a_wrong(method, library, monkeypatch):
    backend = rbench.get_backend("numpy", dtype="float64")
    problem, (owner, wrong, check) = Problem(RESIDUAL, ((3,),), (3,), 3, seed=1), MUTANTS[method]
    check(library, backend, problem, "cross_entropy")
    monkeypatch.setattr(owner, method, wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(library, backend, problem, "cross_entropy")
