"""A method's step on a problem, compiled once and used for timing and training alike."""

from collections.abc import Callable, Hashable
from typing import Any, cast

import numpy as np

from rbench.methods import Method, Problem, State, Step, compile_step
from rbench.methods.base import WINDOW
from rbench.modules import Params
from rbench.train.batches import Batches
from rbench.train.clock import arrays_of


class Stepper:
    """Makes a method's steps on the batches of a data set.

    Attributes:
        steps_per_call: steps per call of `calls`, as the backend chooses for the network.
    """

    def __init__(self, problem: Problem, method: Method, batches: Batches) -> None:
        self.problem = problem
        self.method = method
        self.batches = batches
        self.steps_per_call = problem.backend.steps_per_call(problem.net)
        self._step = compile_step(problem, method)
        self._made: set[Hashable] = set()
        self._loops: dict[Hashable, Callable[..., Any]] = {}

    def start(self, params: Params) -> State:
        """The method's state before its first step."""
        return self.method.start(self.problem, params, self.batches(0))

    def evaluated(self, params: Params, state: State) -> Params:
        """The parameters that are evaluated."""
        return self.method.evaluated(self.problem, params, state)

    def variants(self, total: int) -> dict[int, float]:
        """The index of the first step of each variant, with the variant's share of the first `WINDOW` steps."""
        phases = [self.method.phase(index) for index in range(min(total, WINDOW))]
        return {phases.index(phase): phases.count(phase) / len(phases) for phase in dict.fromkeys(phases)}

    def first_of_kind(self, index: int, total: int, params: Params, state: State, *, several: bool = False) -> bool:
        """Whether a call is the first of its kind, and so compiles; from now on it counts as made.

        The call is that of the step of a 0-based index out of `total`, from these parameters and state, or of `several`
        from there on. Calls are of one kind where the method's phase, the shapes and dtypes of all arrays, and the
        names and types of the scalars agree. On a backend that prepares no operations, no call is the first.
        """
        if self.problem.backend.eager:
            return False
        scalars = tuple((name, type(value)) for name, value in self.method.scalars(index, total).items())
        arrays = tuple((leaf.shape, str(leaf.dtype)) for leaf in arrays_of((params, state)))
        kind = several, self.method.phase(index), scalars, arrays
        new = kind not in self._made
        self._made.add(kind)
        return new

    def call(self, index: int, total: int) -> Callable[[Params, State], Step]:
        """The step of this 0-based index, with its batch made; the call draws the samples and makes the step."""
        method = self.method
        batch = self.batches(index)
        phase = method.phase(index)
        scalars = method.scalars(index, total)

        def one(params: Params, state: State) -> Step:
            noise = self.batches.noise(index, method.samples_in(phase))
            return self._step(params, state, batch._replace(noise=noise), scalars, phase=phase)

        return one

    def calls(self, first: int, total: int) -> Callable[[Params, State], Step]:
        """Like `call`, for `steps_per_call` steps from an index on, where `loops_from` allows them.

        Their losses are (steps,), and their health is (steps, layers) or None.
        """
        method = self.method
        backend = self.problem.backend
        indices = range(first, first + self.steps_per_call)
        batch = self.batches(indices)
        phase = method.phase(first)
        rows = [method.scalars(index, total) for index in indices]
        scalars = {name: backend.asarray(np.asarray([row[name] for row in rows])) for name in rows[0]}
        loop = self._loop(phase)

        def many(params: Params, state: State) -> Step:
            noise = self.batches.noise(indices, method.samples_in(phase))
            (params, state), (losses, health) = loop((params, state), (batch._replace(noise=noise), scalars))
            return Step(params, state, losses, health)

        return many

    def loops_from(self, first: int, stop: int) -> bool:
        """Whether enough steps of one phase for one call begin at an index, `stop` excluded."""
        phases = {self.method.phase(index) for index in range(first, first + self.steps_per_call)}
        return self.steps_per_call > 1 and first + self.steps_per_call <= stop and len(phases) == 1

    def _loop(self, phase: Hashable) -> Callable[..., Any]:
        if phase not in self._loops:
            problem = self.problem
            method = self.method

            def one(carry: tuple[Params, State], item: Any) -> Any:
                (params, state), (batch, scalars) = carry, item
                result = method.step(problem, params, state, batch, scalars, phase)
                return (result.params, result.state), (result.loss, result.health)

            self._loops[phase] = cast(Callable[..., Any], problem.backend.compile_loop(one))
        return self._loops[phase]
