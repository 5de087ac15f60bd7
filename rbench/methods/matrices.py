"""A layer's gradient as one matrix G, and the factors L and R that Shampoo and SOAP make of it.

G is (fan_out, fan_in [+1]): rows are outputs and columns are inputs, for a convolution all pixels of its window. The
bias is the last column, the weight of an input that is always 1, as in K-FAC's factors.
"""

from collections.abc import Sequence
from typing import TypeAlias

from rbench.backend import Array, Backend
from rbench.methods.base import zero_array
from rbench.methods.operations import layer_works
from rbench.metrics import Batch, Problem, pull_gradient
from rbench.modules import Layer, Params
from rbench.modules.pullback import as_matrix, as_weights
from rbench.modules.space import space_of

Pair: TypeAlias = tuple[Array, Array]
"""A matrix at a layer's outputs, (fan_out, fan_out), and one at its inputs, (fan_in [+1], fan_in [+1])."""


def matrix_gradients(problem: Problem, params: Params, batch: Batch) -> tuple[Array, list[Array]]:
    """Mean loss of a batch, and G of every layer."""
    loss, pulled = pull_gradient(problem, params, batch)
    return loss, [as_matrix(problem.backend, layer.gradient()) for layer in pulled]


def as_blocks(problem: Problem, matrices: Sequence[Array]) -> Params:
    """A matrix like G for every layer, in the structure of the parameters."""
    pairs = zip(problem.net.layers, matrices, strict=True)
    return tuple(layer.block(*as_weights(matrix, bias=layer.bias), problem.backend) for layer, matrix in pairs)


def zero_matrices(problem: Problem) -> tuple[Array, ...]:
    """Zeros in the shape of every layer's G."""
    return tuple(zero_array(problem.backend, layer.fan_out, layer.width) for layer in problem.net.layers)


def zero_factors(problem: Problem) -> tuple[Pair, ...]:
    """L and R of every layer before the first step."""
    sides = [(layer.fan_out, layer.width) for layer in problem.net.layers]
    return tuple((zero_array(problem.backend, o, o), zero_array(problem.backend, a, a)) for o, a in sides)


def identities(problem: Problem) -> tuple[Pair, ...]:
    """Identities in the shapes of every layer's L and R."""
    eye = problem.backend.eye
    return tuple((eye(layer.fan_out), eye(layer.width)) for layer in problem.net.layers)


def running(old: Array, new: Array, decay: float | None) -> Array:
    """The running average ρ old + (1 − ρ) new; or the sum, where ρ is None."""
    return old + new if decay is None else decay * old + (1 - decay) * new


def updated_factors(backend: Backend, factors: Pair, gradient: Array, decay: float | None) -> Pair:
    """The running averages, or sums, of L = G Gᵀ and R = GᵀG with a gradient taken up."""
    left, right = factors
    return (
        running(left, backend.gram(gradient), decay),
        running(right, backend.gram(gradient.T), decay),
    )


def norm(backend: Backend, array: Array) -> Array:
    """The root of the sum of squares of all entries, a scalar."""
    return backend.xp.sqrt(backend.xp.sum(array * array))


def nonzero(backend: Backend, length: Array) -> Array:
    """max(length, the smallest normal number): what is divided by it stays zero where its length is zero."""
    xp = backend.xp
    return xp.maximum(length, xp.full_like(length, float(xp.finfo(length.dtype).smallest_normal)))


def workspace(problem: Problem, datum: Batch, batch_size: int, kept: float, at_once: float) -> float:
    """Bytes of a step beyond SGD's, for numbers that are kept between steps, and numbers held at once after a pullback.

    The outputs of all layers are held during a pullback, and not after it.
    """
    works = layer_works(problem.net, space_of(datum.x))
    released = batch_size * sum(work.positions * work.layer.fan_out for work in works)
    return problem.backend.itemsize * max(kept, at_once - released, 0.0)


def factor_operations(layer: Layer) -> float:
    """Pairs of G Gᵀ and GᵀG: o a (o + a) / 2."""
    return layer.n_parameters * (layer.fan_out + layer.width) / 2


def rotation_operations(layer: Layer) -> float:
    """Pairs of U X V, for matrices U at the outputs and V at the inputs: o a (o + a)."""
    return float(layer.n_parameters * (layer.fan_out + layer.width))


def cubes(layer: Layer) -> float:
    """o³ + a³, of which the pairs of decomposing both factors are multiples."""
    return float(layer.fan_out**3 + layer.width**3)


def factor_numbers(layer: Layer) -> int:
    """o² + a², the numbers in both factors."""
    return int(layer.fan_out**2 + layer.width**2)
