"""The tables of any records: one for each kind of row, with its notes."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from rbench.cost import COST_FIELDS
from rbench.figures import significant
from rbench.report.cost import cost_footnotes, cost_rows, render_costs
from rbench.report.environments import environment_notes, environments
from rbench.report.footnotes import footnotes, machines
from rbench.report.frame import raw_rows
from rbench.report.load import by_fields
from rbench.report.table import Format, raw, render, written, written_notes
from rbench.run.record import Record, plain
from rbench.text import json_text
from rbench.train.cell import FIELDS


class Kind(NamedTuple):
    """How rows of one kind are shown.

    Attributes:
        render: makes the table of records in a form.
        notes: makes the sentences below it.
    """

    render: Callable[[list[Record], Format], str]
    notes: Callable[[list[Record]], list[str]]


def render_tables(records: Sequence[Record], form: Format) -> str:
    """The tables as text, with notes except in `csv` and `json`; `json` is one list of all rows."""
    groups = by_fields(records) or {FIELDS: []}
    parts = [(KINDS.get(fields, OTHER), own) for fields, own in groups.items()]
    texts = [kind.render(own, form) for kind, own in parts]
    if form == "json":
        return json_text([row for text in texts for row in json.loads(text)])
    if form == "csv":
        return "\n\n".join(texts)
    notes = [written_notes(kind.notes(own), form) for kind, own in parts]
    return "\n\n".join(f"{text}\n\n{own}" for text, own in zip(texts, notes, strict=True))


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
    return [*environment_notes(words), *machines([record.provenance for record in records], labels)]


KINDS = {
    FIELDS: Kind(render, footnotes),
    COST_FIELDS: Kind(lambda records, form: render_costs(cost_rows(records), form), cost_footnotes),
}
OTHER = Kind(_render_other, _other_notes)
