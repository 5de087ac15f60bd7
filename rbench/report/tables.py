"""The tables of any records: one for each kind of row, with its notes."""

import json
from collections.abc import Callable, Sequence
from typing import TypeAlias

from rbench.cost import COST_FIELDS
from rbench.report.cost import cost_footnotes, render_cost_records
from rbench.report.footnotes import footnotes, provenance, reasons
from rbench.report.forms import Look, caption, written_notes
from rbench.report.frame import grouped
from rbench.report.labels import names
from rbench.report.layout import USUAL, View
from rbench.report.other import other_notes, render_other
from rbench.report.selection import filtered
from rbench.report.table import Format, render
from rbench.run.record import Record
from rbench.text import json_text
from rbench.train.cell import FIELDS

Kind: TypeAlias = tuple[Callable[[list[Record], Format, View], str], Callable[[list[Record], Look], list[str]]]
"""How rows of one kind are shown: makes the table of records in a form as a view asks, and the sentences below it."""


def render_tables(records: Sequence[Record], form: Format, view: View = USUAL) -> str:
    """The tables as text, with notes except in `csv` and `json`; `json` is one list, its rows with the same fields.

    Raises:
        RbenchError: a view names a column, method or task that is not there.
    """
    records, said = filtered(records, view)
    kinds = grouped(records, lambda record: record.cell.fields) or {FIELDS: []}
    texts = [KINDS.get(fields, OTHER)[0](own, form, view) for fields, own in kinds.items()]
    if form == "json":
        rows = [row for text in texts for row in json.loads(text)]
        every = dict.fromkeys(name for row in rows for name in row)
        return json_text([{name: row.get(name) for name in every} for row in rows])
    if form == "csv":
        return "\n\n".join(texts)
    above = provenance(records) if view.caption else []
    first = view.caption if view.caption.endswith((".", "!", "?")) else f"{view.caption}."
    parts = [caption(" ".join([first, *said, *above]), form)] if view.caption else []
    for (fields, own), text in zip(kinds.items(), texts, strict=True):
        below = [*said, *reasons(own), *names(record.cell for record in own).notes]
        below += KINDS.get(fields, OTHER)[1](own, form)
        parts.append(text)
        if view.notes:
            own_notes = [note for note in below if not (view.caption and note in (*said, *above))]
            parts.append(written_notes(own_notes, form))
    return "\n\n".join(parts)


KINDS: dict[tuple[str, ...], Kind] = {
    FIELDS: (render, footnotes),
    COST_FIELDS: (render_cost_records, cost_footnotes),
}
OTHER: Kind = render_other, other_notes
