"""The tables of any records: one for each kind of row, with its notes."""

import json
from collections.abc import Callable, Sequence
from typing import TypeAlias

from rbench.cost import COST_FIELDS
from rbench.report.cost import cost_footnotes, cost_rows, render_costs
from rbench.report.footnotes import footnotes
from rbench.report.frame import grouped
from rbench.report.other import other_notes, render_other
from rbench.report.table import Format, render, written_notes
from rbench.run.record import Record
from rbench.text import json_text
from rbench.train.cell import FIELDS

Kind: TypeAlias = tuple[Callable[[list[Record], Format], str], Callable[[list[Record]], list[str]]]
"""How rows of one kind are shown: makes the table of records in a form, and the sentences below it."""


def render_tables(records: Sequence[Record], form: Format) -> str:
    """The tables as text, with notes except in `csv` and `json`; `json` is one list, its rows with the same fields."""
    texts = []
    for fields, own in (grouped(records, lambda record: record.cell.fields) or {FIELDS: []}).items():
        render_kind, notes = KINDS.get(fields, OTHER)
        texts.append(render_kind(own, form))
        if form != "csv" and form != "json":
            texts.append(written_notes(notes(own), form))
    if form == "json":
        rows = [row for text in texts for row in json.loads(text)]
        names = dict.fromkeys(name for row in rows for name in row)
        return json_text([{name: row.get(name) for name in names} for row in rows])
    return "\n\n".join(texts)


KINDS: dict[tuple[str, ...], Kind] = {
    FIELDS: (render, footnotes),
    COST_FIELDS: (lambda records, form: render_costs(cost_rows(records), form), cost_footnotes),
}
OTHER: Kind = render_other, other_notes
