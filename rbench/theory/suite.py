"""What experiments on the theory share: a cell is a task, a method and a seed, and a suite is their product."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import Field

from rbench.errors import SpecError
from rbench.experiment import Cell
from rbench.names import unknown
from rbench.run.suite import Platform, Suite
from rbench.spec import Configurable, expansions, parse

if TYPE_CHECKING:
    from rbench.run.request import Request

Kinds: TypeAlias = tuple[type[Configurable], ...]
"""What a SPEC of an experiment may name; these are the experiment's own, and not registered."""

CELL_FIELDS = ("suite", "task", "method", "seed", "backend", "device", "dtype", "threads", "status", "reason")
"""Fields of a row of any experiment on the theory, before its own."""


class TheoryCell(Cell):
    """A cell of an experiment on the theory.

    Attributes:
        task_kinds: what its task may be.
        method_kinds: what its method may be.
        task: canonical SPEC.
        method: canonical SPEC.
        seed: of all that is random in it.
    """

    task_kinds: ClassVar[Kinds] = ()
    method_kinds: ClassVar[Kinds] = ()
    task: str
    method: str
    seed: int = Field(0, ge=0, lt=2**63)

    @property
    def names(self) -> tuple[str, ...]:
        return self.task, self.method, self.backend, f"s{self.seed}"

    def make_task(self) -> Any:
        """The task that the SPEC names."""
        (task,) = expanded(self.task_kinds, self.task, "task", self.name)
        return task

    def make_method(self) -> Any:
        """The method that the SPEC names."""
        (method,) = expanded(self.method_kinds, self.method, "method", self.name)
        return method


def expanded(kinds: Kinds, spec: str, word: str, experiment: str) -> list[Any]:
    """All that a SPEC names: several where it lists values.

    Raises:
        SpecError: nothing here has that name, or it has no such setting.
    """
    kind, settings = _found(kinds, spec, word, experiment)
    return kind.expand(settings)


@dataclass(frozen=True)
class TheorySuite(Suite):
    """Tasks × methods × sizes × seeds of one experiment, in float64 whatever `dtype` says.

    Attributes:
        cell: the experiment.
        tasks: SPECs of its tasks.
        methods: SPECs of its methods.
        sizes: values of further fields of its cells, by field.
        seeds: how many seeds, from 0 on.
    """

    unused: ClassVar[tuple[str, ...]] = (
        "points", "fixed", "budget", "evaluations", "batch_size", "unofficial_data", "tuned",
    )  # fmt: skip
    name: str
    summary: str
    cell: type[TheoryCell]
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    sizes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    seeds: int = 1
    threads: int | None = 1

    def count(self, request: "Request") -> int:
        total = request.seeds or self.seeds
        for values in self.sizes.values():
            total *= len(values)
        for specs, kinds, word in self._named(request):
            total *= sum(expansions(*_found(kinds, spec, word, self.name)) for spec in specs)
        return total

    def cells(self, request: "Request", platforms: Sequence[Platform]) -> list[Cell]:
        tasks, methods = (
            [one.spec for spec in specs for one in expanded(kinds, spec, word, self.name)]
            for specs, kinds, word in self._named(request)
        )
        seeds = range(request.seeds or self.seeds)
        return [
            self.cell(
                suite=self.name,
                task=task,
                method=method,
                seed=seed,
                backend=backend,
                dtype="float64",
                device=device,
                threads=request.threads_of(self),
                **dict(zip(self.sizes, sizes, strict=True)),
            )
            for task, method, sizes, seed, (backend, _, device) in product(
                tasks, methods, list(product(*self.sizes.values())), seeds, platforms
            )
        ]

    def contents(self) -> dict[str, list[str]]:
        return {"tasks": list(self.tasks), "methods": list(self.methods)}

    def _named(self, request: "Request") -> list[tuple[list[str], Kinds, str]]:
        """SPECs of tasks and methods, with what they may name; a bare name means the suite's own of that name."""
        pairs = (
            (request.tasks, self.tasks, self.cell.task_kinds, "task"),
            (request.methods, self.methods, self.cell.method_kinds, "method"),
        )
        named = []
        for given, own, kinds, word in pairs:
            by_name = {name: [spec for spec in own if parse(spec)[0] == name] for name in given}
            specs = [one for name in given for one in by_name[name] or [name]] or list(own)
            named.append((specs, kinds, word))
        return named


def _found(kinds: Kinds, spec: str, word: str, experiment: str) -> tuple[type[Configurable], dict[str, Any]]:
    name, settings = parse(spec)
    by_name = {kind.name: kind for kind in kinds}
    if name not in by_name:
        raise SpecError(f"{experiment}: {unknown(word, name, list(by_name))}")
    return by_name[name], settings
