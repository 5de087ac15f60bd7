"""Networks of the algebra as functions in plain JAX, as its own libraries write them, and parameters between the two.

A dense layer is x · W + b with W (in, out), and a convolution is of images (height, width, channels) with a kernel
(height, width, in, out), as Haiku and Flax have them: that is what kfac-jax recognises as layers. All else is in the
algebra's layout, images (channels, height, width) too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from rbench import modules as algebra
from rbench.backend import Array
from rbench.errors import ParameterError
from rbench.modules import Module, Params
from rbench.modules.equilibrium import AVERAGED, NEWTON
from rbench.modules.module import Block

Wires: TypeAlias = tuple[Array, ...]

_POINTWISE: dict[type[Module], Callable[[Array], Array]] = {
    algebra.Tanh: jnp.tanh,
    algebra.ReLU: jax.nn.relu,
    algebra.Sigmoid: jax.nn.sigmoid,
    algebra.GELU: lambda x: jax.nn.gelu(x, approximate=False),
    algebra.Exp: jnp.exp,
    algebra.Identity: lambda x: x,
    algebra.Flatten: lambda x: jnp.reshape(x, (x.shape[0], -1)),
}
_FROM_HWIO, _TO_HWIO = (3, 2, 0, 1), (2, 3, 1, 0)


@dataclass(frozen=True)
class Function:
    """A network as a function of parameters in JAX's layout: `function(params, x)`.

    Attributes:
        net: the network.
    """

    net: Module

    def __call__(self, params: Params, x: Array | Wires) -> Array | Wires:
        """The outputs; x and the result are each one array (batch, *shape), or a tuple of one per wire."""
        outputs = _apply(self.net, iter(params), x if isinstance(x, tuple) else (x,))
        return outputs[0] if len(outputs) == 1 else outputs

    def params(self, blocks: Params) -> Params:
        """Parameters in JAX's layout, from the algebra's blocks."""
        return self._laid_out(blocks, (1, 0), _TO_HWIO)

    def blocks(self, params: Params) -> Params:
        """The algebra's blocks, from parameters in JAX's layout."""
        return self._laid_out(params, (1, 0), _FROM_HWIO)

    def _laid_out(self, params: Params, dense: tuple[int, ...], images: tuple[int, ...]) -> Params:
        axes = {algebra.Linear: dense, algebra.Conv2d: images}
        return tuple(
            {**block, "weight": jnp.transpose(block["weight"], axes[type(layer)])} if type(layer) in axes else block
            for layer, block in zip(self.net.layers, params, strict=True)
        )


def to_function(net: Module) -> Function:
    """A network as a function in plain JAX, which JAX differentiates and kfac-jax finds the layers of.

    Raises:
        ParameterError: it holds a module that has no equivalent here.
    """
    for module in _leaves(net):
        if type(module) not in (*_POINTWISE, *_WRITTEN):
            known = ", ".join(kind.__name__ for kind in (*_WRITTEN, *_POINTWISE))
            raise ParameterError(f"{module!r} cannot be made a function in JAX; those that can are {known}, >> and *")
    return Function(net)


def _leaves(net: Module) -> Iterator[Module]:
    if isinstance(net, algebra.Sequential | algebra.Parallel):
        for part in net.modules:
            yield from _leaves(part)
    else:
        yield net


def _apply(net: Module, blocks: Iterator[Block], wires: Wires) -> Wires:
    """The outputs of a module, which takes the blocks of its layers off the iterator."""
    if isinstance(net, algebra.Sequential):
        for part in net.modules:
            wires = _apply(part, blocks, wires)
        return wires
    if isinstance(net, algebra.Parallel):
        return tuple(wire for part, own in net.with_inputs(wires) for wire in _apply(part, blocks, own))
    if isinstance(net, algebra.Layer):
        return (_WRITTEN[type(net)](net, next(blocks), *wires),)
    if type(net) in _POINTWISE:
        return (_POINTWISE[type(net)](*wires),)
    outputs = _WRITTEN[type(net)](net, *wires)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _linear(net: algebra.Linear, block: Block, x: Array) -> Array:
    y = jnp.dot(x, block["weight"])
    return y + block["bias"] if net.bias else y


def _convolution(net: algebra.Conv2d, block: Block, x: Array) -> Array:
    channels_last = ("NHWC", "HWIO", "NHWC")
    images = jnp.transpose(x, (0, 2, 3, 1))
    edges = [(net.padding, net.padding)] * 2
    y = lax.conv_general_dilated(images, block["weight"], [net.stride] * 2, edges, dimension_numbers=channels_last)
    return jnp.transpose(y + block["bias"] if net.bias else y, (0, 3, 1, 2))


def _scaled(net: algebra.ScaleShift, block: Block, x: Array) -> Array:
    channels_last = jnp.moveaxis(x, 1, -1)
    return jnp.moveaxis(channels_last * block["weight"] + block["bias"], -1, 1)


def _pool(net: Any, x: Array) -> Array:
    """The mean or the largest of adjacent windows; pixels beyond the last whole one are left out."""
    largest = isinstance(net, algebra.MaxPool2d)
    start, of_two = (-jnp.inf, lax.max) if largest else (0.0, lax.add)
    window = (1, 1, net.kernel, net.kernel)
    pooled = lax.reduce_window(x, jnp.asarray(start, x.dtype), of_two, window, window, "VALID")
    return pooled if largest else pooled / net.kernel**2


def _jets(net: algebra.JetLinear, block: Block, x: Array) -> Array:
    weight, bias = block["weight"][:, :-1], block["weight"][:, -1]
    return (x @ weight.T).at[:, 0].add(bias)


def _tanh_of_jets(net: algebra.JetTanh, x: Array) -> Array:
    value, slopes, laplacian = jnp.tanh(x[:, :1]), x[:, 1:-1], x[:, -1:]
    first = 1 - value * value
    squares = jnp.sum(slopes**2, axis=1, keepdims=True)
    return jnp.concatenate([value, first * slopes, first * laplacian - 2 * value * first * squares], axis=1)


def _equilibrium(net: algebra.Equilibrium, block: Block, x: Array) -> Array:
    """The solution of z = tanh(W [κz; x] + b): one Newton step from it has its derivative."""
    size = net.out_features
    own, given = net.feedback * block["weight"][:, :size], block["weight"][:, size:]
    offset = x @ given.T + block.get("bias", 0)

    def newton(z: Array) -> Array:
        t = jnp.tanh(z @ own.T + offset)
        matrix = lax.stop_gradient(jnp.eye(size, dtype=x.dtype) - (1 - t**2)[:, :, None] * own)
        return z - jnp.linalg.solve(matrix, (z - t)[:, :, None])[:, :, 0]

    z = jnp.zeros_like(offset)
    for _ in range(AVERAGED):
        z = (z + jnp.tanh(z @ own.T + offset)) / 2
    for _ in range(NEWTON):
        z = newton(z)
    return newton(lax.stop_gradient(z))


_WRITTEN: dict[type[Module], Callable[..., Any]] = {
    algebra.Linear: _linear,
    algebra.Conv2d: _convolution,
    algebra.ScaleShift: _scaled,
    algebra.JetLinear: _jets,
    algebra.Equilibrium: _equilibrium,
    algebra.JetTanh: _tanh_of_jets,
    algebra.AvgPool2d: _pool,
    algebra.MaxPool2d: _pool,
    algebra.Copy: lambda _, x: (x, x),
    algebra.Add: lambda _, x, y: x + y,
    algebra.Dot: lambda _, x, y: jnp.sum(jnp.reshape(x * y, (x.shape[0], -1)), axis=1, keepdims=True),
    algebra.Split: lambda net, x: (x[..., : net.size], x[..., net.size :]),
}
"""Functions of a module, its block where it is a layer, and its wires."""
