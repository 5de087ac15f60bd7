"""Measurements of a step beside those of pytest-benchmark."""

from itertools import cycle
from typing import Any

import numpy as np

from rbench.backend import Backend
from rbench.cost.breakdown import breakdown
from rbench.cost.networks import network
from rbench.losses import get_loss
from rbench.methods import SGD, Problem
from rbench.methods.base import WINDOW
from rbench.tasks import Dataset
from rbench.train.batches import Batches
from rbench.train.cell import configured
from rbench.train.clock import arrays_of, timed
from rbench.train.memory import Peaks, check_memory, step_peaks
from rbench.train.step_time import side_by_side
from rbench.train.stepper import Stepper

LOSS = "cross_entropy"
ROUND_SECONDS, FEWEST, MOST = 1.0, 5, 100
"""Seconds to spend on a benchmark's rounds, and the fewest and most rounds."""

SLOW_ROUNDS = 3
"""Rounds of a step that takes longer than `ROUND_SECONDS`."""


class PreparedStep:
    """A method's step on random data, which make no difference to its time, from the initial weights.

    Attributes:
        cycle: steps after which their variants repeat; a cycle is timed together.
    """

    def __init__(self, backend: Backend, net: str, batch_size: int, method: str) -> None:
        (self._method,) = configured("methods", method)
        self._net, self._shape = network(net)
        self._backend = backend
        problem = Problem(backend, self._net, get_loss(LOSS))
        ((outputs,),) = self._net.out_space((self._shape,))  # type: ignore[misc]
        numbers = np.random.default_rng(0)
        x = numbers.random((batch_size, *self._shape))
        y = numbers.integers(0, outputs or 1, batch_size)
        batches = Batches(problem, Dataset(x, y, x, y, sha256=""), batch_size, seed=0)
        self._params = self._net.init(backend)
        self._stepper = Stepper(problem, self._method, batches)
        check_memory(self._stepper, self._params)
        phases = [self._method.phase(index) for index in range(WINDOW)]
        self.cycle = next(n for n in range(1, WINDOW + 1) if phases[n:] == phases[:-n])
        self._calls = cycle([self._stepper.call(index, WINDOW) for index in range(self.cycle)])
        self._state = self._stepper.start(self._params)

    def step(self) -> None:
        """Make the cycle's next step and wait for it."""
        self._backend.synchronize(arrays_of(next(self._calls)(self._params, self._state)))

    def seconds(self) -> dict[str, Any]:
        """Median seconds and quartiles of a synchronised step, or of the mean step of a cycle, after a warm-up."""

        def one_cycle() -> None:
            for _ in range(self.cycle):
                self.step()

        first, _ = timed(self._backend, one_cycle)
        seconds = [timed(self._backend, one_cycle)[0] / self.cycle]
        rounds = SLOW_ROUNDS if seconds[0] > ROUND_SECONDS else rounds_for(seconds[0] * self.cycle)
        seconds += [timed(self._backend, one_cycle)[0] / self.cycle for _ in range(rounds - 1)]
        low, middle, high = map(float, np.quantile(seconds, (0.25, 0.5, 0.75)))
        return {
            "step_seconds": middle,
            "step_seconds_low": low,
            "step_seconds_high": high,
            "rounds": len(seconds),
            "compile_seconds": None if self._backend.eager else max(0.0, first - middle * self.cycle),
        }

    def paired(self) -> dict[str, Any]:
        """The figures of `side_by_side`, with its seconds of a step as `paired_step_seconds`."""
        found = side_by_side(self._stepper, self._params, WINDOW)
        return {"paired_step_seconds": found.pop("step_seconds"), **found}

    def parts(self) -> dict[str, float]:
        """Seconds of each part of the step, as `breakdown` measures them."""
        return breakdown(self._stepper, self._params, WINDOW)

    def peaks(self) -> Peaks:
        """Memory peaks of the method's state and a step, in a separate pass."""
        return step_peaks(self._stepper, self._params, WINDOW)

    def counted(self) -> dict[str, Any]:
        """Parameters, operations of the step, and the floor: the ratio of its operations to those of SGD's step."""
        common = self._stepper.problem, (self._shape,), self._stepper.batches.batch_size
        own, of_sgd = (method.operations(*common) for method in (self._method, SGD()))
        return {
            "n_parameters": sum(layer.n_parameters for layer in self._net.layers),
            "operations": own,
            "floor": own / of_sgd if own and of_sgd else None,
        }


def rounds_for(seconds: float) -> int:
    """Rounds that fit into `ROUND_SECONDS`, within their bounds."""
    return int(min(max(ROUND_SECONDS / max(seconds, 1e-9), FEWEST), MOST))
