"""An example network, its outputs, and the cotangents that the algebra pulls back from random ones at them."""

from typing import NamedTuple

from rbench.testing._examples import example


class PulledBack(NamedTuple):
    """`rows` are cotangents at the outputs, `inputs` those at the inputs, and `gradient` those at the parameters."""

    given: object
    outputs: tuple
    rows: tuple
    inputs: tuple
    gradient: tuple


def pulled_back(name, backend, rng):
    given = example(name)
    outputs, tape = given.net.forward(backend, given.params, given.x)
    rows = tuple(rng.normal(size=output.shape) for output in outputs)
    inputs, layers = given.net.pullback(backend, given.params, tape, tuple(row[:, None] for row in rows))
    gradient = tuple(layer.block(*one.gradient(), backend) for layer, one in zip(given.net.layers, layers, strict=True))
    return PulledBack(given, outputs, rows, tuple(row[:, 0] for row in inputs), gradient)
