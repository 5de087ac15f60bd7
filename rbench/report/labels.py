"""Short names of methods and tasks in tables and plots: what tells a SPEC from the others beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rbench.errors import PluginError, SpecError
from rbench.experiment import Cell
from rbench.plugins import plugins
from rbench.report.frame import grouped
from rbench.spec import parse

Pair = tuple[str, str]
"""A place where methods are beside each other, such as the task, and a method's SPEC."""

NAMED = ("output_metric", "name")
"""Settings that are always named, first and by their values alone: a metric, and the name of a library's optimiser."""

SCHEDULE = "schedule"
"""The setting that is named last, for it says least."""


class Names(NamedTuple):
    """What tables call methods and tasks.

    Attributes:
        methods: label of a method, by its task and its SPEC.
        tasks: label of a task, by its SPEC.
    """

    methods: dict[Pair, str]
    tasks: dict[str, str]

    def method(self, cell: Cell) -> str:
        """The label of a cell's method."""
        return self.methods[_pair(cell)]

    def task(self, cell: Cell) -> str:
        """The label of a cell's task."""
        return self.tasks[_pair(cell)[0]]

    @property
    def notes(self) -> list[str]:
        """What each label stands for, where the SPEC says more."""
        methods = grouped(self.methods.items(), lambda item: item[1])
        lines = []
        for label, named in methods.items():
            places = grouped(named, lambda item: item[0][1])
            several = len(places) > 1
            parts = [
                f"{spec} on {', '.join(self.tasks[task] for (task, _), _ in own)}" if several else spec
                for spec, own in places.items()
            ]
            if parts != [label]:
                lines.append(f"{label}: {'; '.join(parts)}")
        return lines + [f"{label}: {spec}" for spec, label in self.tasks.items() if spec != label]


def names(cells: Iterable[Cell]) -> Names:
    """What tables call the methods and tasks of cells; of those without a task, all are beside each other."""
    named = list(dict.fromkeys((cell.suite, *_pair(cell)) for cell in cells))
    pairs = [(task, method) for _, task, method in named]
    tasks = labels(("", task) for task, _ in pairs)
    return Names(labels(pairs, suite_labels(named)), {task: label for (_, task), label in tasks.items()})


def _pair(cell: Cell) -> Pair:
    return str(getattr(cell, "task", "")), str(getattr(cell, "method", ""))


def suite_labels(named: Iterable[tuple[str, str, str]]) -> dict[Pair, str]:
    """The labels that suites themselves give, for suites, tasks and methods; none where a suite is not installed."""
    found: dict[Pair, str] = {}
    for suite, task, method in named:
        try:
            own: Mapping[str, str] = plugins().find("suites", suite).labels
        except PluginError:
            continue
        fitting = [(len(_read(spec)[1]), label) for spec, label in own.items() if _is_of(method, spec)]
        if fitting:
            found.setdefault((task, method), max(fitting)[1])
    return found


def _is_of(method: str, spec: str) -> bool:
    """Whether a method has the name and all the settings of a SPEC."""
    (name, settings), (wanted, values) = _read(method), _read(spec)
    return name == wanted and all(key in settings and settings[key] == value for key, value in values.items())


def labels(pairs: Iterable[Pair], own: Mapping[Pair, str] | None = None) -> dict[Pair, str]:
    """A label for each method on each task.

    A label is the method's name, the values of `NAMED`, and as few of its other settings as tell it apart: first
    settings that are words or lists, the same for all tasks; then, if two on the same task are still alike, numbers. So
    a method that has another rate on each task has one label. The whole SPEC stands where it cannot be read.

    Args:
        pairs: a place where methods are beside each other, such as the task, and the method's SPEC.
        own: labels that stand instead, with numbers after them where they alone do not tell methods apart.
    """
    given = own or {}
    found = list(dict.fromkeys(pairs))
    read = {spec: _read(spec) for _, spec in found}
    words = {
        name: _telling([(place, _worded(read[spec][1])) for place, spec in alike])
        for name, alike in grouped(found, lambda pair: read[pair[1]][0]).items()
    }
    named: dict[Pair, str] = {}
    for place, here in grouped(found, lambda pair: pair[0]).items():
        specs = [spec for _, spec in here]
        first = {
            spec: given.get((place, spec)) or _written(read[spec][0], read[spec][1], words[read[spec][0]])
            for spec in specs
        }
        for label, alike in grouped(specs, first.__getitem__).items():
            numbers = _telling([(place, read[spec][1]) for spec in alike])
            named |= {(place, spec): ", ".join(filter(None, (label, _pairs(read[spec][1], numbers)))) for spec in alike}
    return named


def labels_of(specs: Iterable[str], suites: Iterable[str] = ()) -> dict[str, str]:
    """A label for each of several SPECs that stand beside each other, the suites' own where they have one."""
    pairs = [("", spec) for spec in specs]
    own = suite_labels((suite, *pair) for suite in suites for pair in pairs)
    return {spec: label for (_, spec), label in labels(pairs, own).items()}


def _read(spec: str) -> tuple[str, dict[str, Any]]:
    try:
        return parse(spec)
    except SpecError:
        return spec, {}


def _worded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without numbers."""
    return {key: value for key, value in settings.items() if not _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _telling(several: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """As few keys as tell settings in the same place apart, as far as any do."""
    keys = list(dict.fromkeys(key for _, settings in several for key in settings))
    keys.sort(key=lambda key: (key not in NAMED, key == SCHEDULE))
    chosen: list[str] = []
    for key in keys:
        apart, now = (
            len({(place, _values(settings, some)) for place, settings in several}) for some in (chosen, [*chosen, key])
        )
        if now > apart:
            chosen.append(key)
    return chosen


def _values(settings: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(settings.get(key, "")) for key in keys)


def _written(name: str, settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    named = " ".join([name, *(str(settings[key]) for key in NAMED if settings.get(key))])
    others = _pairs(_worded(settings), [key for key in keys if key not in NAMED])
    return ", ".join(filter(None, (named, others)))


def _pairs(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key}={_word(settings[key])}" for key in keys if key in settings)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value).replace(" ", "")
