"""Which records a table shows."""

from collections.abc import Callable, Sequence
from typing import Any

from rbench.errors import RbenchError
from rbench.names import unknown
from rbench.report.labels import names
from rbench.report.layout import View
from rbench.run.record import Record


def filtered(records: Sequence[Record], view: View) -> tuple[list[Record], list[str]]:
    """The records that a view asks for, and sentences on what it leaves out.

    Raises:
        RbenchError: a text is in no method or task.
    """
    kept, notes = list(records), []
    for kind, texts in (("method", view.methods), ("task", view.tasks)):
        if texts:
            found, said = _matching(kept, kind, texts)
            kept = found
            notes.append(said)
    return kept, notes


def _matching(records: list[Record], kind: str, texts: Sequence[str]) -> tuple[list[Record], str]:
    named = names(record.cell for record in records)
    label: Callable[[Any], str] = named.method if kind == "method" else named.task
    spec = {record.cell.key: str(getattr(record.cell, kind, "")) for record in records}
    own = {record.cell.key: f"{spec[record.cell.key]}\n{label(record.cell)}".casefold() for record in records}
    for text in texts:
        if not any(text.casefold() in words for words in own.values()):
            raise RbenchError(unknown(kind, text, sorted({label(record.cell) for record in records})))
    kept = [one for one in records if any(text.casefold() in own[one.cell.key] for text in texts)]
    counts = [len({spec[one.cell.key] for one in some}) for some in (kept, records)]
    return kept, (
        f"Only {kind}s with {' or '.join(texts)}: {counts[0]} of {counts[1]}. Marks are among those that are shown."
    )
