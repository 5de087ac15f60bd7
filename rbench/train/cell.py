"""A cell: one training run of one method on one task, at one seed, on one backend."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, cast, get_args

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from rbench.checked import Checked
from rbench.errors import SpecError
from rbench.methods.base import Method
from rbench.plugins import plugins
from rbench.spec import Configurable, expansions, parse
from rbench.tasks.base import Task

Source: TypeAlias = Literal["weights", "order", "samples"]
"""What of a run is random: initial weights; the order of batches, and their augmentation; the samples of the metric."""

SOURCES: tuple[Source, ...] = get_args(Source)

MOST_EVALUATIONS = 100_000
"""Evaluations of a run: each is a row of its record."""


class Budget(Checked):
    """How long to train, and how often to look: exactly one of the first three is set.

    Attributes:
        epochs: passes over the training set.
        steps: updates.
        seconds: training time, steps alone.
        evaluations: how often a run is evaluated, evenly over it and lastly at its end; None: at the start, too, at the
            ends of epochs, and ten times at least, but for a run of more than `MOST_EVALUATIONS` epochs.
    """

    epochs: int | None = Field(None, ge=1, lt=2**63)
    steps: int | None = Field(None, ge=1, lt=2**63)
    seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    evaluations: int | None = Field(None, ge=1, le=MOST_EVALUATIONS)

    def __str__(self) -> str:
        """Such as `3 epochs` or `3 epochs, 1 evaluations`."""
        return ", ".join(f"{value:g} {name}" for name, value in self.model_dump(exclude_none=True).items())

    def model_post_init(self, context: Any) -> None:
        """Check that one is set."""
        if sum(value is not None for value in (self.epochs, self.steps, self.seconds)) != 1:
            raise SpecError("give one budget: --epochs, --steps or --seconds")

    @property
    def length(self) -> "Budget":
        """How long to train, however often to look."""
        return self.evaluated(None)

    def evaluated(self, times: int | None) -> "Budget":
        """The same length, evaluated so often."""
        return self.model_copy(update={"evaluations": times})

    @model_serializer(mode="wrap")
    def _without_a_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """So that keys and records of cells evaluated as always stay what they were before there was a choice."""
        return _without(handler(self), "evaluations")


class Cell(Checked):
    """All that determines a training run, in canonical form.

    Attributes:
        suite: name of the suite that asked for it.
        task: canonical SPEC.
        method: canonical SPEC.
        backend: canonical SPEC, which is its name where it has no options.
        device: the backend's name of the device, or None for its default.
        dtype: `float32` or `float64`.
        seed: of weights, order and samples, each a stream of its own, but for what is fixed.
        fixed: sources whose streams are those of seed 0, whatever the seed; in alphabetical order, each once.
        budget: when to stop.
        threads: threads of the numerical libraries; time and rounding depend on it, so another number is another cell.
        unofficial_data: whether a copy of the data that is not the published one is taken.
    """

    suite: str
    task: str
    method: str
    backend: str
    device: str | None = None
    dtype: str = "float32"
    seed: int = Field(0, ge=0, lt=2**63)
    fixed: tuple[Source, ...] = ()
    budget: Budget
    threads: int = Field(1, ge=1, lt=2**63)
    unofficial_data: bool = False

    @field_validator("fixed")
    @classmethod
    def _in_order(cls, fixed: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(sorted(set(fixed)))

    @model_serializer(mode="wrap")
    def _without_an_empty_fixed(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """So that keys and records of cells where nothing is fixed stay what they were before there was a choice."""
        return _without(handler(self), "fixed")

    @property
    def key(self) -> str:
        """File name of the cell's record, without ending: readable, and unique by a hash of all fields."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:10]
        names = (self.task, self.method, self.backend)
        slug = "--".join(re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[:48] for name in names)
        return f"{slug}--s{self.seed}--{digest}"

    def seed_of(self, source: Source) -> int:
        """The seed of a source's streams."""
        return 0 if source in self.fixed else self.seed

    def make_task(self) -> Task:
        """The task that the SPEC names."""
        (task,) = configured("tasks", self.task)
        return cast(Task, task)

    def make_method(self) -> Method:
        """The method that the SPEC names."""
        (method,) = configured("methods", self.method)
        return cast(Method, method)


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Fields without one that is empty."""
    return fields if fields.get(name) else {key: value for key, value in fields.items() if key != name}


def tasks_of(cells: Iterable[Cell]) -> dict[str, Task]:
    """The tasks of cells by their SPECs, each made once."""
    return {spec: cell.make_task() for spec, cell in {cell.task: cell for cell in cells}.items()}


def count(kind: str, spec: str) -> int:
    """How many methods or tasks a SPEC names, without making one; raises as `configured` does for what it cannot read.

    Args:
        kind: `methods` or `tasks`.
        spec: the SPEC.
    """
    name, settings = parse(spec)
    return expansions(plugins().find(kind, name), settings)


def configured(kind: str, spec: str) -> list[Any]:
    """All methods or tasks that a SPEC names: several where it lists values.

    Args:
        kind: `methods` or `tasks`.
        spec: the SPEC.

    Raises:
        SpecError: it cannot be read, or sets what does not exist.
        PluginError: nothing has that name.
    """
    name, settings = parse(spec)
    cls: type[Configurable] = plugins().find(kind, name)
    return list(cls.expand(settings))
