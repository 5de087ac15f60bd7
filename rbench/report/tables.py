"""The tables of any records: one for each kind of row, with its notes."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pandas as pd

from rbench.cost import COST_FIELDS
from rbench.figures import significant
from rbench.report.cost import cost_footnotes, cost_rows, render_costs
from rbench.report.environments import environment_notes, environments
from rbench.report.footnotes import footnotes, machines
from rbench.report.frame import grouped, raw_rows
from rbench.report.table import Format, raw, render, written, written_notes
from rbench.run.record import Record, plain
from rbench.text import json_text
from rbench.train.cell import FIELDS

Kind: TypeAlias = tuple[Callable[[list[Record], Format], str], Callable[[list[Record]], list[str]]]
"""How rows of one kind are shown: makes the table of records in a form, and the sentences below it."""


def render_tables(records: Sequence[Record], form: Format) -> str:
    """The tables as text, with notes except in `csv` and `json`; `json` is one list of all rows."""
    texts = []
    for fields, own in (grouped(records, lambda record: record.cell.fields) or {FIELDS: []}).items():
        render_kind, notes = KINDS.get(fields, OTHER)
        texts.append(render_kind(own, form))
        if form != "csv" and form != "json":
            texts.append(written_notes(notes(own), form))
    if form == "json":
        return json_text([row for text in texts for row in json.loads(text)])
    return "\n\n".join(texts)


def _render_other(records: list[Record], form: Format) -> str:
    """Rows of an experiment that has no table of its own: columns that are the same in every row are left out."""
    lines = [plain(line) for line in raw_rows(records)]
    if form == "json" or form == "csv":
        return raw(lines, form)
    frame = pd.DataFrame(lines)
    names = [name for name in frame if frame[name].notna().any() and (len(frame) == 1 or frame[name].nunique() > 1)]
    shown = pd.DataFrame({name: [_word(value) for value in frame[name]] for name in names})
    return written(shown, form, {str(name) for name in names if pd.api.types.is_numeric_dtype(frame[name])})


def _word(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return significant(value) if isinstance(value, float) else str(value)


def _other_notes(records: list[Record]) -> list[str]:
    labels, words = environments(records)
    return [*environment_notes(words), *machines(records, labels)]


KINDS: dict[tuple[str, ...], Kind] = {
    FIELDS: (render, footnotes),
    COST_FIELDS: (lambda records, form: render_costs(cost_rows(records), form), cost_footnotes),
}
OTHER: Kind = _render_other, _other_notes
