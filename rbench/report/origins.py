"""What differs between the software, hardware and data of two runs."""

from collections.abc import Collection, Iterable
from typing import Any, TypeAlias

from rbench.report.frame import name_of
from rbench.run.record import Record

COMPARED = ("rbench", "commit")
"""Parts of a provenance that a comparison is expected to differ in."""

Facts: TypeAlias = dict[str, set[str]]


def unlike(first: Facts, second: Facts) -> list[str]:
    """Facts that both runs have and that differ, apart from rbench itself, such as `cpu: this → that`."""
    words = {name: [", ".join(sorted(side[name])) for side in (first, second)] for name in first if name in second}
    return [f"{name}: {before} → {after}" for name, (before, after) in words.items() if before != after]


def run_facts(records: Collection[Record]) -> Facts:
    """Software, hardware and data of a run, each fact with all of its values."""
    alike = {repr(record.provenance): record.provenance for record in records}  # most agree
    found = _facts(alike.values())
    read = {(record.cell.data, record.figures.get("dataset_sha256")) for record in records}
    for data, sha in read:
        if sha and data is not None:
            found.setdefault(f"data of {name_of(data[0])}", set()).add(f"sha256 {sha[:16]}…")
    return found


def _facts(provenances: Iterable[dict[str, Any]]) -> Facts:
    found: Facts = {}
    for provenance in provenances:
        for name, value in _flat(provenance):
            found.setdefault(name, set()).add(value)
    return found


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, str]]:
    """Facts of nested dictionaries by dotted names; a list is one fact."""
    if isinstance(value, dict):
        for key, item in value.items():
            if name or key not in COMPARED:
                yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        parts = [item.values() if isinstance(item, dict) else [item] for item in value]
        yield name, "; ".join(sorted(" ".join(map(str, part)) for part in parts))
    else:
        yield name, str(value)
