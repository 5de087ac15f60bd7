"""The tables of runs that measure costs: a row for each method's step, and one for each part of a step."""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter

import pandas as pd

from rbench.cost import COST_FIELDS
from rbench.figures import PEAK_HOST, RATIO, STEP_COST, STEP_SECONDS, Figure, columns, significant
from rbench.report.environments import IN_WORDS, environment_notes, letter, told_apart
from rbench.report.footnotes import machines
from rbench.report.forms import Look, written
from rbench.report.frame import Row, grouped
from rbench.report.labels import labels
from rbench.report.layout import SPEC, USUAL, Table, View
from rbench.report.scaling import crossover_table, exponent_table, series_of, with_names
from rbench.report.table import Format, csv_text, end_briefly, end_in_words, raw, render_table
from rbench.report.value import Value
from rbench.run.record import Record, plain
from rbench.spec import parse

WHERE = {"backend": "backend", "device": "device", "dtype": "dtype"}
STEP = {"network": "network", "batch_size": "batch", "method": "method", **WHERE}
PART = {"part": "part of a step", "sizes": "sizes", **WHERE}
_OVER_SGD = {
    figure: replace(figure, name=f"{figure.name}_above_sgd", title=f"{figure.title} above sgd")
    for figure in STEP_COST
    if figure.measures == "memory" and figure.compared != "never"
}
"""Figures that a table also shows as differences from SGD's."""

_PAIRS = Figure("pairs_per_nanosecond", "size", "pairs / ns", better="higher")
_STEP_MS = replace(STEP_SECONDS, title="")
FIGURES = {figure.head: figure for figure in (*STEP_COST, *_OVER_SGD.values(), _PAIRS, _STEP_MS)}
RIGHT = {"batch", *FIGURES}


def cost_rows(records: Sequence[Record]) -> list[Row]:
    """Rows with `rbench.cost.COST_FIELDS`.

    Where environments differ, rows have an `environment` in words, which for series includes the threads.
    """
    found = told_apart([_facts(record) for record in records])
    return [plain(record.row() | own) for record, own in zip(records, found.fields, strict=True)]


def _facts(record: Record) -> dict[str, str]:
    """The facts of an environment; with the threads for a series, whose table does not show them."""
    if record.cell.series is None or IN_WORDS in record.environment:  # words of a row have the threads already
        return record.environment
    return record.environment | {"threads": str(record.cell.threads)}


def _lettered(rows: list[Row]) -> tuple[list[Row], dict[str, str]]:
    """Rows with letters for their environments, None where all agree; and the words of each letter."""
    found = dict.fromkeys(row["environment"] for row in rows if "environment" in row)
    letters = {words: letter(place) for place, words in enumerate(found)}
    lettered = [{**row, "environment": letters.get(row.get("environment", ""))} for row in rows]
    return lettered, {label: words for words, label in letters.items()}


def render_cost_records(records: Sequence[Record], form: Format, view: View = USUAL) -> str:
    """The tables of records, as `render_costs`."""
    return render_costs(cost_rows(records), form, view)


def render_costs(rows: list[Row], form: Format, view: View = USUAL) -> str:
    """The tables as text: `markdown`, `latex` and `html` of steps, then parts; `csv` and `json` the raw rows."""
    if form == "json":
        return raw(rows, form)
    if form == "csv":
        return csv_text(pd.DataFrame(rows, columns=list(rows[0] if rows else COST_FIELDS)))
    rows, _ = _lettered(rows)
    parts, swept = ([row for row in rows if row[name] is not None] for name in ("part", "sweep"))
    steps = [row for row in rows if row["method"] is not None and row["sweep"] is None]
    tables = [_table(steps, STEP, _step_figures(steps)), _table(parts, PART, list(map(_part_figures, parts)))]
    tables = [table for table in tables if len(table.cells)]
    asked = [table for table in tables if table.has(view.columns)]
    texts = [render_table(table, form, view) for table in asked or tables]
    if swept:
        series = series_of(swept)
        shown = [*sweep_tables(swept), exponent_table(series), crossover_table(series)]
        texts += [written(table, form, RIGHT) for table in shown if len(table)]
    return "\n\n".join(texts)


def cost_footnotes(records: Sequence[Record], form: Look = "markdown") -> list[str]:
    """Sentences on timing, threads, machine and versions."""
    rows, words = _lettered(cost_rows(records))
    threads = sorted({record.cell.threads for record in records})
    notes = []
    if any(row["method"] and (row["sweep"] or row["step_ratio_to_sgd"]) for row in rows):
        notes.append(
            "ms: median of a synchronised step at the initial weights, or of the mean of a cycle where steps differ."
        )
    if any(row["step_ratio_to_sgd"] for row in rows):
        notes.append(
            "over sgd: median ratio (quartiles) to a step of sgd with its default settings, timed in turn in the same "
            "process. floor: the ratio of their multiply-add pairs, that of the times if all products ran at one rate."
        )
    if any(row["peak_host_bytes"] for row in rows):
        notes.append(
            "MiB: what the method's state and one step take at once beyond data and parameters, in a pass that is not "
            "timed: host counts allocations (memray), resident the growth of the process."
        )
    swept = [row for row in rows if row["sweep"]]
    if swept:
        notes.append(
            "Exponents p of c · sizeᵖ by least squares over the largest decade measured (95 % intervals of Student's t "
            "over the residuals); counted: of the step's multiply-add pairs at the same sizes; paper: of "
            "Σ n d² + d³ over layers, or Σ n³ for dense and inverse."
        )
        notes += endings(swept)
    if any(row["part"] for row in rows):
        notes.append("pairs / ns: multiply-add pairs over the median time, a symmetric product counted half.")
    notes.append(f"Threads: {', '.join(map(str, threads))}.")
    notes += environment_notes(words)
    notes += machines(records, [None] * len(records))
    versions = dict.fromkeys(
        f"{name} {version}"
        for record in records
        for name, version in record.provenance.get("backend", {}).items()
        if name != "numpy"
    )
    return [*notes, f"{', '.join(versions)}."] if versions else notes


def sweep_tables(rows: Sequence[Row]) -> list[pd.DataFrame]:
    """A table per sweep and backend: a row per size, with time and memory of each method."""
    tables = []
    for (sweep, place), own in grouped(with_names(rows), lambda named: named[0][:2]).items():
        lines: dict[int, dict[str, str]] = {}
        for (_, _, label), row in own:
            line = lines.setdefault(row["size"], {sweep: f"{row['size']:,}", "backend": place})
            line[label] = _cell(row)
        tables.append(pd.DataFrame([lines[size] for size in sorted(lines)]).fillna("–"))
    return tables


def endings(rows: Sequence[Row]) -> list[str]:
    """Where each series ends early, and why."""
    ends: dict[tuple[str, str, str], str] = {}
    for names, row in with_names(rows):
        if row["status"] != "ok":
            sweep, place, label = names
            words = f"no figure from {sweep} = {row['size']:,} on: {end_in_words(row)}."
            ends.setdefault(names, f"{label}, {place}: {words}")
    return list(ends.values())


def _table(rows: list[Row], names: dict[str, str], figures: list[dict[str, Value | str]]) -> Table:
    """Usual are threads, environment and endings where they differ; no figure that no row has."""
    names = names | {"threads": "threads", "environment": "environment"}
    named = labels(("", row["method"]) for row in rows if row["method"] is not None)
    lines = []
    for row, own in zip(rows, figures, strict=True):
        line = {title: "" if row[name] is None else str(row[name]) for name, title in names.items()}
        spec = row["method"]
        whole = {} if spec is None else {"method": named["", spec], SPEC: spec}
        lines.append({**line, **whole, **own, "status": end_briefly(row)})
    cells = pd.DataFrame(lines, dtype=object)
    hidden = {SPEC}
    hidden |= set() if len({row["threads"] for row in rows}) > 1 else {"threads"}
    hidden |= set() if any(row["environment"] for row in rows) else {"environment"}
    hidden |= set() if any(row["status"] != "ok" for row in rows) else {"status"}
    known = {name: FIGURES[name] for name in map(str, cells) if name in FIGURES and (cells[name] != "–").any()}
    usual = [str(name) for name in cells if name not in hidden and (name in known or name not in FIGURES)]
    return Table(cells, usual, known)


def _step_figures(rows: list[Row]) -> list[dict[str, Value | str]]:
    """Each step's figures as text, with memory compared to SGD's."""
    place = itemgetter("network", "batch_size", "backend", "device", "dtype", "threads", "environment")
    timed = any(row["step_ratio_to_sgd"] is not None for row in rows)
    sgd = {place(row): row for row in rows if parse(row["method"])[0] == "sgd"}
    lines = []
    for row in rows:
        line: dict[str, Value | str] = {}
        for figure in columns(STEP_COST):
            if timed or figure.measures == "memory":
                line[figure.head] = _written(row, figure)
            if figure in _OVER_SGD:
                own, others = (one.get(figure.name) for one in (row, sgd.get(place(row), {})))
                above = "–" if own is None or others is None else Value(figure.unit.write(own - others))
                line[_OVER_SGD[figure].head] = above
        lines.append(line)
    return lines


def _part_figures(row: Row) -> dict[str, Value | str]:
    rate = row["operations"] / row["step_seconds"] / 1e9 if row["operations"] and row["step_seconds"] else None
    return {
        _STEP_MS.head: _written(row, STEP_SECONDS),
        _PAIRS.head: "–" if rate is None else Value(significant(rate)),
    }


def _written(row: Row, figure: Figure) -> Value | str:
    """A figure, with quartiles if it is a ratio."""
    if row[figure.name] is None:
        return "–"
    low, high = figure.quartiles if figure.unit == RATIO and figure.quartiles else (figure.name, figure.name)
    return Value.of(row[figure.name], row[low], row[high], figure.unit.write)


def _cell(row: Row) -> str:
    if row["status"] != "ok":
        return "–"
    known = [figure for figure in (STEP_SECONDS, PEAK_HOST) if row[figure.name] is not None]
    return ", ".join(f"{figure.unit.write(row[figure.name])} {figure.unit.symbol}" for figure in known)
