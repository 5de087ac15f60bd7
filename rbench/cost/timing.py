"""What the benchmarks measure of a step, beside what pytest-benchmark does."""

from itertools import cycle
from typing import Any

import numpy as np

from rbench.backend import Backend
from rbench.cost.networks import network
from rbench.losses import get_loss
from rbench.methods import SGD, Problem
from rbench.methods.base import WINDOW
from rbench.tasks import Dataset
from rbench.train.batches import Batches
from rbench.train.cell import configured
from rbench.train.clock import arrays_of, timed
from rbench.train.memory import Peaks, check_memory, step_peaks
from rbench.train.step_time import Variant, paired_steps
from rbench.train.stepper import Stepper

LOSS = "cross_entropy"
ROUND_SECONDS, FEWEST, MOST = 1.0, 5, 100
"""Seconds to spend on the rounds of a benchmark, and how few and how many there may be."""

SLOW_ROUNDS = 3
"""Rounds of a step that takes longer than all rounds of a quick one."""


class PreparedStep:
    """A method's step on random data, which make no difference to its time, from the initial weights.

    Attributes:
        cycle: steps after which their variants repeat: what must be timed together.
    """

    def __init__(self, backend: Backend, net: str, batch_size: int, method: str) -> None:
        (self._method,) = configured("methods", method)
        self._net, self._shape = network(net)
        self._backend, self._batch = backend, batch_size
        problem = Problem(backend, self._net, get_loss(LOSS))
        numbers, ((outputs,),) = np.random.default_rng(0), self._net.out_space((self._shape,))  # type: ignore[misc]
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

    def cycle_of_steps(self) -> None:
        """Make a whole cycle."""
        for _ in range(self.cycle):
            self.step()

    def peaks(self) -> Peaks:
        """What the method's state and a step take of memory, in a pass of its own."""
        return step_peaks(self._stepper, self._params, WINDOW)

    def paired(self) -> dict[str, Any]:
        """Seconds of a step, its ratio to SGD's with quartiles, and seconds to compile, None where nothing is.

        Both are timed in turn; of variants these are means weighted by how often each is due.

        Raises:
            CapacitanceError: the method fails on the first step.
        """
        found = paired_steps(self._stepper, self._params, WINDOW)
        low, middle, high = (_weighted(found, quantile) for quantile in (0.25, 0.5, 0.75))
        compiling = sum(max(0.0, variant.first - float(np.median(variant.seconds))) for variant in found)
        return {
            "paired_step_seconds": sum(variant.share * float(np.median(variant.seconds)) for variant in found),
            "step_ratio_to_sgd": middle,
            "step_ratio_low": low,
            "step_ratio_high": high,
            "compile_seconds": None if self._backend.eager else compiling,
        }

    def counted(self) -> dict[str, Any]:
        """Parameters, operations of the step, and the floor: their ratio to those of SGD's step."""
        common = self._stepper.problem, (self._shape,), self._batch
        own, others = (method.operations(*common) for method in (self._method, SGD()))
        return {
            "n_parameters": sum(layer.n_parameters for layer in self._net.layers),
            "operations": own,
            "floor": own / others if own and others else None,
        }


def median_seconds(backend: Backend, prepared: PreparedStep) -> dict[str, Any]:
    """Median seconds of a synchronised step with quartiles, after one to warm up; of a cycle the mean."""

    def measured() -> float:
        return timed(backend, prepared.cycle_of_steps) / prepared.cycle

    first = measured() * prepared.cycle
    seconds = [measured()]
    rounds = SLOW_ROUNDS if seconds[0] > ROUND_SECONDS else rounds_for(seconds[0] * prepared.cycle)
    seconds += [measured() for _ in range(rounds - 1)]
    low, middle, high = (float(np.quantile(seconds, quantile)) for quantile in (0.25, 0.5, 0.75))
    return {
        "step_seconds": middle,
        "step_seconds_low": low,
        "step_seconds_high": high,
        "rounds": len(seconds),
        "compile_seconds": None if backend.eager else max(0.0, first - middle * prepared.cycle),
    }


def rounds_for(seconds: float) -> int:
    """Rounds that fit into the time for them."""
    return int(min(max(ROUND_SECONDS / max(seconds, 1e-9), FEWEST), MOST))


def _weighted(found: list[Variant], quantile: float) -> float:
    return sum(variant.share * float(np.quantile(variant.seconds / variant.others, quantile)) for variant in found)
