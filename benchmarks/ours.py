"""Our side of the benchmarks that time a step beside someone else's, and the options of their command lines."""

import argparse
from collections.abc import Iterable

import numpy as np

from rbench.backend import Array, Backend
from rbench.losses import get_loss
from rbench.methods import Batch, Method, Problem, compile_step
from rbench.tasks.networks import mlp


class Ours:
    """Steps of a method on a tanh network and one batch, each from where the last one ended.

    Args:
        backend: where.
        method: with the rate in its `lr`.
        sizes: of the network's layers.
        batch: data.
    """

    def __init__(self, backend: Backend, method: Method, sizes: tuple[int, ...], batch: int) -> None:
        problem, numbers = Problem(backend, mlp(sizes, "tanh"), get_loss("cross_entropy")), np.random.default_rng(0)
        self.x = backend.asarray(numbers.random((batch, sizes[0])))
        self.y = backend.labels(numbers.integers(0, sizes[-1], batch))
        self.params = problem.net.init(backend)
        self._backend, self._first = backend, backend.to_numpy(self.params[0]["weight"])
        self._step, self._state = compile_step(problem, method), method.init(problem, self.params)
        self._scalars, self._phase = method.scalars(0, 1), method.phase(0)

    def __call__(self) -> Array:
        """Make a step, and return the loss before it."""
        batch = Batch(self.x, self.y, None)
        result = self._step(self.params, self._state, batch, self._scalars, phase=self._phase)
        self.params, self._state = result.params, result.state
        return result.loss

    def apart(self, weight: Array) -> float:
        """How far the first layer's weight is from another, over how far that one is from the start."""
        found, expected = (self._backend.to_numpy(one) for one in (self.params[0]["weight"], weight))
        return float(np.linalg.norm(found - expected) / np.linalg.norm(expected - self._first))


def parser(doc: str | None, backends: Iterable[str], sizes: str) -> argparse.ArgumentParser:
    """The options that these benchmarks share, with the default sizes of the network."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("backends", nargs="+", choices=list(backends))
    made.add_argument("--sizes", default=sizes, help="sizes of the layers of a tanh network")
    made.add_argument("--batch", type=int, default=128)
    return made
