"""What became better or worse between two runs, and how differently they were made, in words."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

import pandas as pd

from rbench.figures import compared, significant
from rbench.report.compare import Change
from rbench.report.forms import written
from rbench.report.frame import grouped, name_of
from rbench.report.noise import WITHIN_NOISE
from rbench.report.table import Format, raw
from rbench.report.value import Value
from rbench.run.record import Record

ALWAYS = ("task", "network", "method", "part")
WORSE = "!"
COMPARED = ("rbench", "commit")
"""Parts of a provenance that a comparison is expected to differ in."""

Facts: TypeAlias = dict[str, set[str]]


def render_changes(changes: Sequence[Change], form: Format) -> str:
    """`markdown`, `latex` and `html`: a row per cell with a ratio per figure; `csv` and `json`: the raw changes."""
    if form == "json" or form == "csv":
        return raw([change.line() for change in changes], form)
    names = [name for name in dict.fromkeys(name for change in changes for name in change.row) if _tells(name, changes)]
    titles = _titles(changes)
    shown = []
    for group in grouped(changes, lambda change: tuple(change.row.values())).values():
        by_figure = {change.figure: change for change in group}
        line: dict[str, Value | str]
        line = {name: "" if group[0].row.get(name) is None else str(group[0].row[name]) for name in names}
        line |= {title: _ratio(by_figure[name]) if name in by_figure else "–" for name, title in titles.items()}
        shown.append(line | {"status": f"{WORSE}{by_figure['status'].reason}" if "status" in by_figure else "ok"})
    return written(pd.DataFrame(shown), form, set(titles.values()))


def change_notes(changes: Sequence[Change], threshold: float) -> list[str]:
    """Sentences that explain ratios and marks, and name everything that is worse or could not be judged."""
    interval = (
        "In brackets the least and largest ratio of their quartiles"
        if any(change.declared and change.declared.quartiles for change in changes)
        else "Geometric mean over paired seeds, and the 95 % interval of the t-test of logarithms; n/a: one seed"
    )
    notes = [
        "Ratios of the second run to the first: above 1 is worse, of accuracy too, whose errors are compared. "
        f"{interval}. ~ lies within noise: the interval holds 1.",
        f"! is worse: more than {threshold:g} times and beyond noise. Of test loss, squared error and memory, which a "
        f"repeat gives again, one pair suffices from {threshold**2:.3g} times on.",
    ]
    unknown = [change for change in changes if change.verdict == "unknown"]
    if unknown:
        names = ", ".join(dict.fromkeys(_titles(changes)[change.figure] for change in unknown))
        notes.append(f"No verdict on {names} where there is one pair: it shows no noise; run both with several seeds.")
    failing = [
        f"{'LOST' if change.verdict == 'lost' else 'WORSE'} {_words(change)}" for change in changes if change.fails
    ]
    return [*notes, *(failing or ["Nothing is worse."])]


def unlike(first: Facts, second: Facts) -> list[str]:
    """Facts that both runs have and that differ, apart from rbench itself, such as `cpu: this → that`."""
    words = {name: [", ".join(sorted(side[name])) for side in (first, second)] for name in first if name in second}
    return [f"{name}: {before} → {after}" for name, (before, after) in words.items() if before != after]


def run_facts(records: Collection[Record]) -> Facts:
    """Software, hardware and data of a run, each fact with all of its values."""
    found: Facts = defaultdict(set)
    alike = {repr(record.provenance): record.provenance for record in records}  # most agree
    for provenance in alike.values():
        for name, value in _flat(provenance):
            found[name].add(value)
    for data, sha in {(record.cell.data, record.figures.get("dataset_sha256")) for record in records}:
        if sha and data is not None:
            found[f"data of {name_of(data[0])}"].add(f"sha256 {sha[:16]}…")
    return found


def _titles(changes: Sequence[Change]) -> dict[str, str]:
    """The heads of the ratio columns, in order, by figure."""
    declared = dict.fromkeys(change.declared for change in changes if change.declared is not None)
    return {figure.name: figure.ratio_title or figure.head for figure in compared(declared)}


def _tells(name: str, changes: Sequence[Change]) -> bool:
    """Whether a field is a column: it differs between changes, or names a cell."""
    values = {change.row.get(name) for change in changes}
    return len(values) > 1 or (name in ALWAYS and values != {None})


def _ratio(change: Change) -> Value | str:
    middle, low, high, _ = change.ratio
    mark = WORSE if change.fails else ""
    if math.isnan(low):
        return f"{mark}{_number(middle)} (n/a)"
    if change.verdict == "noise" and low < high:
        mark = WITHIN_NOISE
    return Value.of(middle, low, high, _number).marked(mark)


def _number(value: float) -> str:
    return "inf" if math.isinf(value) else significant(value)


def _words(change: Change) -> str:
    known = {name: value for name, value in change.row.items() if value and name != "suite"}
    alone = {name for name, value in known.items() if isinstance(value, str) and name != "fixed"}
    where = " ".join(value if name in alone else f"{name} {value}" for name, value in known.items())
    return f"{where}: " + (change.reason or f"{_titles([change])[change.figure]} {str(_ratio(change)).lstrip(WORSE)}")


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
