"""What experiments on the theory share: a cell is a task, a method and a seed, and a suite is their product.

All commands load the experiments, so modules of SciPy, which take half a second, are imported where they are used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
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
        (task,) = expanded(self.task_kinds, (self.task,))
        return task

    def make_method(self) -> Any:
        """The method that the SPEC names."""
        (method,) = expanded(self.method_kinds, (self.method,))
        return method


@dataclass(frozen=True)
class Part:
    """The product of some tasks, methods and sizes of one experiment.

    Attributes:
        cell: the experiment.
        tasks: SPECs of its tasks.
        methods: SPECs of its methods.
        sizes: values of further fields of its cells, by field.
    """

    cell: type[TheoryCell]
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    sizes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class TheorySuite(Suite):
    """Parts, each for some seeds, in float64.

    A request's tasks and methods replace those of every part that has some of that name.

    Attributes:
        parts: what it runs.
        seeds: how many seeds, from 0 on.
    """

    unused: ClassVar[tuple[str, ...]] = (
        "points", "fixed", "budget", "evaluations", "batch_size", "unofficial_data", "tuned",
    )  # fmt: skip
    name: str
    summary: str
    parts: tuple[Part, ...]
    seeds: int = 1
    threads: int | None = 1
    dtype: str = "float64"

    def count(self, request: "Request") -> int:
        total = 0
        for part in self._asked(request):
            kinds = (part.cell.task_kinds, part.tasks), (part.cell.method_kinds, part.methods)
            tasks, methods = (sum(expansions(*_found(own, spec)) for spec in specs) for own, specs in kinds)
            total += tasks * methods * prod(map(len, part.sizes.values()))
        return total * (request.seeds or self.seeds)

    def cells(self, request: "Request", platforms: Sequence[Platform]) -> list[Cell]:
        seeds = range(request.seeds or self.seeds)
        return [
            part.cell(
                suite=self.name,
                task=task.spec,
                method=method.spec,
                seed=seed,
                backend=backend,
                dtype=self.dtype,
                device=device,
                threads=request.threads_of(self),
                **dict(zip(part.sizes, sizes, strict=True)),
            )
            for part in self._asked(request)
            for task, method, sizes, seed, (backend, _, device) in product(
                expanded(part.cell.task_kinds, part.tasks),
                expanded(part.cell.method_kinds, part.methods),
                list(product(*part.sizes.values())),
                seeds,
                platforms,
            )
        ]

    def contents(self) -> dict[str, list[str]]:
        return {
            word: list(dict.fromkeys(spec for part in self.parts for spec in getattr(part, word)))
            for word in ("tasks", "methods")
        }

    def _asked(self, request: "Request") -> list[Part]:
        """The parts of a request, with its tasks and methods.

        Raises:
            SpecError: it names what no part has.
        """
        for word, given, kinds in (
            ("task", request.tasks, [part.cell.task_kinds for part in self.parts]),
            ("method", request.methods, [part.cell.method_kinds for part in self.parts]),
        ):
            known = {kind.name: None for own in kinds for kind in own}
            for spec in given:
                if (name := parse(spec)[0]) not in known:
                    raise SpecError(f"suite {self.name!r}: {unknown(word, name, known)}")
        # Parts that list both what is named; else those that list the method; else those whose experiment knows both.
        for tasks_listed, methods_listed in ((True, True), (False, True), (False, False)):
            asked = [
                replace(
                    part,
                    tasks=_chosen(request.tasks, part.tasks, part.cell.task_kinds, tasks_listed),
                    methods=_chosen(request.methods, part.methods, part.cell.method_kinds, methods_listed),
                )
                for part in self.parts
            ]
            if asked := [part for part in asked if part.tasks and part.methods]:
                break
        self._check_served("task", request.tasks, [part.tasks for part in asked])
        self._check_served("method", request.methods, [part.methods for part in asked])
        return asked

    def _check_served(self, word: str, given: Sequence[str], taken: Sequence[Sequence[str]]) -> None:
        """Raise a `SpecError` where something was named that none of the chosen parts has."""
        names = {parse(spec)[0] for specs in taken for spec in specs}
        for spec in given:
            if parse(spec)[0] not in names:
                raise SpecError(
                    f"suite {self.name!r}: {word} {spec!r} does not go with the others that are named; ask for it alone"
                )


def _chosen(given: Sequence[str], own: tuple[str, ...], kinds: Kinds, listed: bool) -> tuple[str, ...]:
    """Those of the given SPECs whose names a part lists, or else its experiment has; its own where none are given.

    A bare name means the part's own SPECs of that name, where it has some.
    """
    names = [parse(spec)[0] for spec in own] if listed else [kind.name for kind in kinds]
    fitting = [spec for spec in given if parse(spec)[0] in names]
    chosen = [one for spec in fitting for one in [one for one in own if parse(one)[0] == spec] or [spec]]
    return tuple(chosen) if given else own


def expanded(kinds: Kinds, specs: Sequence[str]) -> list[Any]:
    """All that SPECs name: several where one lists values.

    Raises:
        SpecError: one has no such setting.
    """
    found = [_found(kinds, spec) for spec in specs]
    return [one for kind, settings in found for one in kind.expand(settings)]


def _found(kinds: Kinds, spec: str) -> tuple[type[Configurable], dict[str, Any]]:
    name, settings = parse(spec)
    by_name = {kind.name: kind for kind in kinds}
    if name not in by_name:
        raise SpecError(unknown("task or method", name, by_name))
    return by_name[name], settings
