"""Drawn networks, and their outputs computed a second time by PyTorch or JAX alone: what `test_autodiff` judges by.

To the libraries the parameters of a layer are one vector, the weight in C order and then the bias: blocks flattened.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import rbench
from rbench import (
    GELU,
    Add,
    AvgPool2d,
    Conv2d,
    Copy,
    Dot,
    Equilibrium,
    Exp,
    Flatten,
    Identity,
    JetLinear,
    JetTanh,
    Linear,
    MaxPool2d,
    ReLU,
    ScaleShift,
    Sigmoid,
    Split,
    Tanh,
)
from rbench.modules import Parallel, Sequential
from rbench.sliding_window import Window

LOSSES = ("cross_entropy", "squared_error", "binary_cross_entropy")
ROWS = 2
# Exp after Exp would overflow. ReLU's kink, which is met, needs no care: rbench and both libraries have slope 0 there.
POINTWISE = (Tanh(), Sigmoid(), GELU(), ReLU(), Tanh() >> Exp())
# Behind a ReLU whole windows would be zero, and which of several largest pixels counts is left to the library.
SMOOTH = POINTWISE[:3]
FIRST_TRUE = st.sampled_from([True, False])


STEPS_TO_EQUILIBRIUM = 60
"""Steps of z ↦ tanh(W [κz; x] + b) towards its fixed point, each of which brings it much nearer for a small κ."""


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
    match draw(st.sampled_from(["vector", "matrix", "pair", "jets"])):
        case "vector":
            net, shapes = draw(maps(n, size, 2, sizes)), ((n,),)
        case "matrix":
            net, shapes = draw(st.sampled_from(POINTWISE)) >> Flatten() >> draw(maps(n * m, size, 1, sizes)), ((n, m),)
        case "pair":
            implicit = Equilibrium(m, size, draw(st.booleans()), feedback=0.1)
            net, shapes = (draw(maps(n, size, 1, sizes)) * implicit) >> Add(), ((n,), (m,))
        case "jets":
            u = JetLinear(n, m) >> JetTanh() >> JetLinear(m, 1)
            net, shapes = Split(n) >> (u * Identity()) >> Dot() >> Linear(1, size), ((n + 2, n + 1),)
    return (net if net.layers else net >> Linear(size, size)), shapes, size


def windows(image):
    """Windows that fit into an image, but for those that would hold nothing but padding: there all pixels are equal."""
    every = (Window(*sizes) for sizes in itertools.product((3, 2, 1), (2, 1, 3), (1, 0)))
    return [w for w in every if w.padding < w.kernel and min(map(w.positions, image[1:])) >= 1]


@st.composite
def stages(draw, image):
    """A convolution with what may stand behind it, on images of a shape; and the shape of what it returns.

    The first choice of everything, which is Hypothesis' first example, is the one that tells most.
    """
    window, channels, width = draw(st.sampled_from(windows(image))), image[0], draw(st.sampled_from([2, 1, 3]))
    wanted = draw(st.fixed_dictionaries(dict.fromkeys(("bias", "affine", "residual", "pool"), FIRST_TRUE)))
    image = (width, *map(window.positions, image[1:]))
    parts = [Conv2d(channels, width, window.kernel, window.stride, window.padding, wanted["bias"])]
    parts += [ScaleShift(width)] * wanted["affine"] + [draw(st.sampled_from(SMOOTH))]
    if wanted["residual"]:
        branch = Conv2d(width, width, 3, padding=1) >> draw(st.sampled_from(SMOOTH))
        parts.append(Copy() >> (branch * Identity()) >> Add())
    if wanted["pool"] and min(image[1:]) >= 2:
        parts.append(draw(st.sampled_from([MaxPool2d(2), AvgPool2d(2)])))
        image = (width, *(size // 2 for size in image[1:]))
    return functools.reduce(operator.rshift, parts), image


@st.composite
def convolutions(draw, sizes):
    """A network of one or two stages that ends in a vector; shape of its images; size of its output."""
    size, shape = draw(sizes), (draw(st.integers(1, 3)), draw(st.integers(5, 7)), draw(st.integers(4, 7)))
    net, image = draw(stages(shape))
    if draw(st.booleans()):
        second, image = draw(stages(image))
        net = net >> second
    return net >> Flatten() >> Linear(math.prod(image), size), (shape,), size


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
    """What an oracle is made of: `transforms` has vmap, vjp, grad, jacrev and hessian.

    Functions are of one datum; those of pools take a kernel too, and `convolve` a weight, a stride and a padding.
    `join` puts arrays one below another; `repeat` applies a function again and again, a number of times.
    """

    name: str
    array: Callable[[Any], Any]
    compile: Callable[[Any], Any]
    transforms: Any
    functions: dict[type, Callable[..., Any]]
    convolve: Callable[[Any, Any, int, int], Any]
    join: Callable[[Any], Any]
    repeat: Callable[[Callable[[Any], Any], Any, int], Any]
    losses: dict[str, Callable[[Any, Any], Any]]

    def run(self, function, *arguments):
        """From NumPy to NumPy."""
        return each(np.asarray, self.compile(function)(*each(self.array, arguments)))


@functools.cache
def torch_library():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    f = torch.nn.functional
    functions = {Tanh: torch.tanh, Sigmoid: torch.sigmoid, GELU: f.gelu, ReLU: f.relu, Exp: torch.exp}
    functions |= {AvgPool2d: f.avg_pool2d, MaxPool2d: f.max_pool2d}
    losses = {
        "cross_entropy": f.cross_entropy,
        "squared_error": lambda z, y: f.mse_loss(z, y, reduction="sum") / 2,
        "binary_cross_entropy": lambda z, y: f.binary_cross_entropy_with_logits(z, y, reduction="sum"),
    }

    def convolve(x, weight, stride, padding):
        return f.conv2d(x[None], weight, stride=stride, padding=padding)[0]

    def repeat(function, z, count):
        return functools.reduce(lambda z, _: function(z), range(count), z)

    whole = (torch.tensor, lambda function: function, torch.func)
    return Library("torch", *whole, functions, convolve, torch.cat, repeat, losses)


@functools.cache
def jax_library():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    nn, gelu = jax.nn, functools.partial(jax.nn.gelu, approximate=False)
    functions = {Tanh: nn.tanh, Sigmoid: nn.sigmoid, GELU: gelu, ReLU: nn.relu, Exp: jax.numpy.exp}

    def pooled(x, kernel, start, operation):
        return jax.lax.reduce_window(x, start, operation, (1, kernel, kernel), (1, kernel, kernel), "VALID")

    def convolve(x, weight, stride, padding):
        return jax.lax.conv_general_dilated(x[None], weight, (stride, stride), [(padding, padding)] * 2)[0]

    functions[AvgPool2d] = lambda x, kernel: pooled(x, kernel, 0.0, jax.lax.add) / kernel**2
    functions[MaxPool2d] = lambda x, kernel: pooled(x, kernel, -jax.numpy.inf, jax.lax.max)
    losses = {
        "cross_entropy": lambda z, y: -nn.log_softmax(z)[y],
        "squared_error": lambda z, y: ((z - y) ** 2).sum() / 2,
        "binary_cross_entropy": lambda z, y: (nn.softplus(z) - y * z).sum(),
    }

    def repeat(function, z, count):
        return jax.lax.fori_loop(0, count, lambda _, z: function(z), z)  # compiled once, not as often as it is applied

    whole = (jax.numpy.asarray, jax.jit, jax)
    return Library("jax", *whole, functions, convolve, jax.numpy.concatenate, repeat, losses)


def each(function, tree):
    """Apply a function to every array of nested tuples."""
    return tuple(each(function, part) for part in tree) if isinstance(tree, tuple) else function(tree)


def tanh_of(library, jet):
    """The value, the slopes and the Laplacian of tanh(u), given those of u, by the library's derivatives of tanh."""
    tanh, at = library.functions[Tanh], library.transforms
    first, second = (at.vmap(function)(jet[0]) for function in (at.grad(tanh), at.grad(at.grad(tanh))))
    return [tanh(jet[:1]), first * jet[1:-1], first * jet[-1:] + second * (jet[1:-1] ** 2).sum(0)]


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
        case Equilibrium(n, m, bias, feedback):
            vector, x, cut = next(vectors), next(wires), m * (m + n)
            weight, offset = vector[:cut].reshape(m, m + n), vector[cut:] if bias else 0

            def nearer(z):
                return library.functions[Tanh](weight @ library.join([feedback * z, x]) + offset)

            return (library.repeat(nearer, 0 * vector[:m], STEPS_TO_EQUILIBRIUM),)
        case Dot():
            return ((next(wires) * next(wires)).sum().reshape(1),)
        case Split(size):
            x = next(wires)
            return x[:, :size], x[:, size:]
        case JetLinear(n, m):
            weight, x = next(vectors).reshape(m, n + 1), next(wires)
            return (library.join([x[:1] @ weight[:, :n].T + weight[:, n], x[1:] @ weight[:, :n].T]),)
        case JetTanh():
            return (library.join(tanh_of(library, next(wires))),)
        case Conv2d(n, m, kernel, stride, padding, bias):
            vector, cut = next(vectors), n * m * kernel**2
            y = library.convolve(next(wires), vector[:cut].reshape(m, n, kernel, kernel), stride, padding)
            return (y + (vector[cut:].reshape(m, 1, 1) if bias else 0),)
        case ScaleShift(channels):
            gain, offset = next(vectors).reshape(2, channels, 1, 1)
            return (gain * next(wires) + offset,)
        case AvgPool2d(kernel) | MaxPool2d(kernel):
            return (library.functions[type(module)](next(wires), kernel),)
    return (library.functions[type(module)](next(wires)),)
