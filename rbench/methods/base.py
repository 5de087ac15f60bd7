"""Methods: update rules as pure steps, with settings that a SPEC can set."""

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import Field

from rbench.backend import Array, Backend
from rbench.methods.space import Dimension
from rbench.metrics import Batch, Problem
from rbench.modules import Params
from rbench.modules.space import Space
from rbench.spec import Configurable

State: TypeAlias = Any
"""Whatever a method keeps between steps: arrays, or nested tuples and dicts of them, where steps are compiled."""

WINDOW = 1000
"""Steps over which operation counts average the variants of a step."""

Scalars: TypeAlias = dict[str, float]
"""Numbers that a step takes and that change from step to step, such as the rate; computed on the host."""


class Step(NamedTuple):
    """The result of a step.

    Attributes:
        params: the new parameters.
        state: the new state.
        loss: mean loss of the batch before the step, a scalar.
        health: an array that holds NaN where a matrix could not be factored, one entry per layer; or None.
    """

    params: Params
    state: State
    loss: Array
    health: Array | None = None


class Method(Configurable):
    """An update rule; subclass it, give it fields for its settings, and register it with the `rbench_methods` hook.

    Attributes:
        lr: the rate η of the first step.
        schedule: η_t over T steps: `constant`; `linear`, η (1 − t/T); `cosine`, η (1 + cos πt/T) / 2.
        search_space: settings that `rbench tune` varies, by name; all others keep their values.
        backends: SPECs of the backends that it runs on, for one that needs a framework; empty for all.
        libraries: libraries besides its backend's that its figures may depend on; see `libraries_of`.
    """

    always: ClassVar[tuple[str, ...]] = ("lr",)
    search_space: ClassVar[Mapping[str, Dimension]] = {}
    backends: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ()
    lr: float = Field(0.1, gt=0, allow_inf_nan=False)
    schedule: Literal["constant", "linear", "cosine"] = "constant"

    @property
    def searched(self) -> Mapping[str, Dimension]:
        """The part of `search_space` that means something with the other settings."""
        return self.search_space

    @property
    def samples(self) -> int:
        """Targets to draw from the model for each datum of a step; 0 for none."""
        return 0

    def samples_in(self, phase: Hashable) -> int:
        """Targets to draw in a variant of the step."""
        return self.samples

    def phase(self, step: int) -> Hashable:
        """The variant of the step at a 0-based index; each is compiled separately, so keep them few."""
        return None

    def scalars(self, step: int, total: int) -> Scalars:
        """The numbers of the step with this 0-based index out of `total`."""
        fraction = step / total
        factors = {"constant": 1.0, "linear": 1 - fraction, "cosine": 0.5 * (1 + math.cos(math.pi * fraction))}
        return {"lr": self.lr * factors[self.schedule]}

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        """Predicted memory of a step beyond SGD's, in bytes, and what it is for; a run that lacks it skips the cell.

        `datum` is a batch of one datum, for the shapes; the batches to come are of `batch_size`.
        """
        return 0.0, ""

    def operations(self, problem: Problem, space: Space, batch: int) -> float | None:
        """Multiply-add pairs of a step, the mean over its variants, as `rbench.methods.operations` counts them.

        The network takes inputs of shapes `space`. The ratio to SGD's pairs is the floor of the ratio of step times;
        None, for no floor, if the method does not say.
        """
        return None

    @classmethod
    def libraries_of(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Those of `libraries` that figures of the method with some settings depend on; by default all."""
        return cls.libraries

    @classmethod
    def unavailable(cls) -> str | None:
        """Why it cannot run in this environment, such as a library that is not installed, and the way out; or None."""
        return None

    def check(self, problem: Problem) -> None:
        """Raise an `RbenchError` where the method cannot train on the problem, before any work starts."""

    def check_batch(self, size: int) -> None:
        """Raise an `RbenchError` where the method cannot train on batches of a size, before any work starts."""

    @abstractmethod
    def init(self, problem: Problem, params: Params) -> State:
        """The state before the first step."""

    def start(self, problem: Problem, params: Params, batch: Batch) -> State:
        """The state before a first step of any variant, on batches of these shapes; for most methods that of `init`."""
        return self.init(problem, params)

    @abstractmethod
    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        """One step, a pure function of arrays: `problem` and `phase` are fixed when it is compiled."""

    def evaluated(self, problem: Problem, params: Params, state: State) -> Params:
        """The parameters that a run is evaluated at, such as averages of those trained; by default these themselves."""
        return params


def compile_step(problem: Problem, method: Method) -> Callable[..., Step]:
    """The method's step as a function of arrays, `step(params, state, batch, scalars, phase=…)`, compiled.

    A backend that compiles does so once per phase and per set of shapes.
    """

    def step(params: Params, state: State, batch: Batch, scalars: Scalars, *, phase: Hashable) -> Step:
        return method.step(problem, params, state, batch, scalars, phase)

    return problem.backend.compile(step, static=("phase",))


def zero_array(backend: Backend, *shape: int) -> Array:
    """Zeros of a shape, in the backend's dtype and on its device."""
    return backend.xp.zeros(shape, dtype=backend.float_dtype, device=backend.native_device)


def map_blocks(function: Callable[..., Array], *trees: Params) -> Params:
    """Apply a function to the arrays of one or more structures of parameters, one by one."""
    layers = zip(*trees, strict=True)
    return tuple({key: function(*(block[key] for block in blocks)) for key in blocks[0]} for blocks in layers)
