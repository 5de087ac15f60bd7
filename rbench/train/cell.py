"""The training experiment: one run of one method on one task, at one seed, on one backend."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias, cast, get_args

from pydantic import Field, field_validator

from rbench.backend import Backend
from rbench.experiment import Limits, MemoryCell, Outcome, Report
from rbench.figures import N_PARAMETERS, TRAINING, Figure, fields
from rbench.methods.base import WINDOW, Method
from rbench.plugins import plugins
from rbench.spec import Configurable, expansions, parse
from rbench.tasks.base import Task
from rbench.train.budget import Budget
from rbench.train.check import check_batch, check_cells
from rbench.train.loop import set_up, train
from rbench.train.memory import Peaks, check_memory, step_peaks

Source: TypeAlias = Literal["weights", "order", "samples"]
"""Random sources of a run: initial weights; the order of batches, and their augmentation; the samples of the metric."""

SOURCES: tuple[Source, ...] = get_args(Source)

CELL_FIELDS = ("suite", "task", "method", "backend", "device", "dtype", "threads", "seed", "fixed", "budget")
"""What a row measures; `fixed` names the random sources that are the same at every seed, such as `order, weights`."""

_MEMORY = [figure for figure in TRAINING if figure.measures == "memory"]
_RESULTS = [figure for figure in TRAINING if figure not in (*_MEMORY, N_PARAMETERS)]
FIELDS = (
    *CELL_FIELDS, "status", "reason", *fields(_RESULTS), "target_reached", *fields(_MEMORY), "memory_reason",
    N_PARAMETERS.name, "dataset_sha256", "dataset_official",
)  # fmt: skip
"""Fields of a table row, in order: a record's cell, how it ended, and the figures of `rbench.figures.TRAINING`.

What does not apply is null. `target_reached` is whether an evaluation met the task's target; `memory_reason` why memory
figures are missing, where their measurement did not end `ok`.
"""


class Training(MemoryCell):
    """All that determines a training run, in canonical form.

    Attributes:
        task: canonical SPEC.
        method: canonical SPEC.
        seed: of weights, order and samples, each with its own stream, except fixed ones.
        fixed: sources whose streams are those of seed 0, whatever the seed; in alphabetical order, each once.
        budget: when to stop.
        unofficial_data: whether a copy of the data that is not the published one is taken.
    """

    summary: ClassVar[str] = "a method trains a network on a task"
    fields: ClassVar[tuple[str, ...]] = FIELDS
    figures: ClassVar[tuple[Figure, ...]] = TRAINING
    # Intermediate figures stay in the history; the row of a failed run holds no result.
    kept_of_failures: ClassVar[tuple[str, ...]] = (
        "device", "n_parameters", "dataset_sha256", "dataset_official", "step_seconds", "step_ratio_to_sgd", "steps",
        "phase_seconds",
    )  # fmt: skip
    experiment: Literal["training"] = "training"
    task: str
    method: str
    seed: int = Field(0, ge=0, lt=2**63)
    fixed: tuple[Source, ...] = ()
    budget: Budget
    unofficial_data: bool = False

    @field_validator("fixed")
    @classmethod
    def _in_order(cls, fixed: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(sorted(set(fixed)))

    @property
    def names(self) -> tuple[str, ...]:
        return self.task, self.method, self.backend, f"s{self.seed}"

    @property
    def title(self) -> str:
        return f"{self.task} {self.method} {self.backend} {self.dtype} seed {self.seed}"

    @property
    def specs(self) -> tuple[tuple[str, str], ...]:
        return ("methods", self.method), ("tasks", self.task)

    @property
    def data(self) -> tuple[str, bool]:
        return self.task, self.unofficial_data

    def check_data(self, n_train: int) -> None:
        if self.make_task().batch_size is None:
            check_batch(self, n_train)

    def alike_in_memory(self) -> "Training":
        return self.model_copy(update={"seed": 0, "fixed": (), "budget": Budget(steps=1), "suite": ""})

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

    @classmethod
    def check(cls, cells: Sequence["Training"], *, here: bool) -> None:
        check_cells(cells, here=here)

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        train(self, backend, outcome, report, limits)

    def peaks(self, backend: Backend) -> Peaks:
        stepper, _, params = set_up(self, backend)
        check_memory(stepper, params)
        return step_peaks(stepper, params, WINDOW)

    def row(self, figures: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        own = super().row(figures, history)
        own |= {"budget": str(self.budget), "fixed": ", ".join(self.fixed) or None}
        if (seconds := own.get("seconds_to_target")) is not None:
            at_target = (point.get("step") for point in history if point.get("seconds") == seconds)
            own["steps_to_target"] = next(at_target, own.get("steps_to_target"))
        return own

    @classmethod
    def settings_in(cls, row: Mapping[str, str]) -> dict[str, Any]:
        own = super().settings_in(row)
        if "budget" in own:
            parts = (part.partition(" ") for part in own["budget"].split(", "))
            own["budget"] = {name: value for value, _, name in parts}
        if "fixed" in own:
            own["fixed"] = own["fixed"].split(", ")
        return own


def count(kind: str, spec: str) -> int:
    """How many `methods` or `tasks` a SPEC names, without making one; raises as `configured` does."""
    name, settings = parse(spec)
    return expansions(plugins().find(kind, name), settings)


def configured(kind: str, spec: str) -> list[Any]:
    """All `methods` or `tasks` that a SPEC names: several where it lists values.

    Raises:
        SpecError: it cannot be read, or has a setting that does not exist.
        PluginError: nothing has that name.
    """
    name, settings = parse(spec)
    cls: type[Configurable] = plugins().find(kind, name)
    return list(cls.expand(settings))


def held(kind: str, specs: Sequence[str], spec: str) -> set[str]:
    """Settings that are held: those in the brackets of SPECs that name the one of a canonical SPEC.

    Raises:
        SpecError, PluginError: as `configured`.
    """
    return {key for given in specs for one in configured(kind, given) if one.spec == spec for key in parse(given)[1]}
