"""What differs between the software, hardware and data of two runs."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from rbench.cost import places
from rbench.run.record import read_records
from rbench.spec import parse

COMPARED = ("rbench", "commit")
"""Of a provenance, what two runs are made to compare."""

Facts: TypeAlias = dict[str, set[str]]


def unlike(first: Path, second: Path) -> list[str]:
    """What differs between two runs apart from rbench itself, of what both say, such as `cpu: this → that`."""
    a, b = _facts(first), _facts(second)
    words = {name: [", ".join(sorted(side[name])) for side in (a, b)] for name in a if name in b}
    return [f"{name}: {before} → {after}" for name, (before, after) in words.items() if before != after]


def _facts(directory: Path) -> Facts:
    found: Facts = {}
    for name, value in _said(directory):
        found.setdefault(name, set()).add(value)
    return found


def _said(directory: Path) -> Iterator[tuple[str, str]]:
    for place in places(directory):
        yield from _flat(place.provenance(directory))
    for record in read_records(directory)[0]:
        yield from _flat(record.provenance)
        if sha := record.figures.get("dataset_sha256"):
            yield f"data of {parse(record.cell.task)[0]}", f"sha256 {sha[:16]}…"


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
