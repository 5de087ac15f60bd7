"""What differs between the software, hardware and data of two runs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rbench.cost import places
from rbench.report.frame import name_of
from rbench.run.record import Record

COMPARED = ("rbench", "commit")
"""Of a provenance, what two runs are made to compare."""

Provenance: TypeAlias = dict[str, Any]
Facts: TypeAlias = dict[str, set[str]]


def unlike(first: Sequence[Provenance], second: Sequence[Provenance]) -> list[str]:
    """What differs between two runs apart from rbench itself, of what both say, such as `cpu: this → that`.

    Args:
        first: provenances of the first run, as `made_with` or `measured_with` finds them.
        second: of the second.
    """
    a, b = _facts(first), _facts(second)
    words = {name: [", ".join(sorted(side[name])) for side in (a, b)] for name in a if name in b}
    return [f"{name}: {before} → {after}" for name, (before, after) in words.items() if before != after]


def made_with(records: Iterable[Record]) -> list[Provenance]:
    """Provenances of a run that trains, and the data of its tasks."""
    found = []
    for record in records:
        sha = record.figures.get("dataset_sha256")
        data = {f"data of {name_of(record.cell.task)}": f"sha256 {sha[:16]}…"} if sha else {}
        found.append(record.provenance | data)
    return found


def measured_with(directory: Path) -> list[Provenance]:
    """Provenances of a run that measures costs."""
    return [place.provenance(directory) for place in places(directory)]


def _facts(known: Iterable[Provenance]) -> Facts:
    found: Facts = {}
    for one in known:
        for name, value in _flat(one):
            found.setdefault(name, set()).add(value)
    return found


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, str]]:
    """Facts of nested dictionaries by dotted names; a list is one fact."""
    if isinstance(value, dict):
        for key, item in value.items():
            if name or key not in COMPARED:
                yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        yield name, "; ".join(sorted(" ".join(str(part) for part in item.values()) for item in value))
    else:
        yield name, str(value)
