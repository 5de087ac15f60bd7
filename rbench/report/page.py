"""All tables of runs on one page, with their notes."""

from collections.abc import Sequence
from pathlib import Path

from rbench.report.cost import cost_footnotes, cost_rows, render_costs
from rbench.report.footnotes import footnotes
from rbench.report.frame import raw_rows
from rbench.report.table import Format, raw, render, with_notes
from rbench.run.record import Record


def page(records: Sequence[Record], costs: Sequence[Path], form: Format) -> str:
    """The table of records and the tables of runs that measure costs, with notes where the form is one to look at.

    Args:
        records: of runs that train.
        costs: directories of runs that measure costs.
        form: how to write them; `json` is one list of all raw rows.
    """
    if form == "json":
        return raw([*raw_rows(records), *cost_rows(costs)], form)
    parts = [(render(records, form), footnotes(records))] if records or not costs else []
    if costs:
        parts.append((render_costs(cost_rows(costs), form), cost_footnotes(costs)))
    return "\n\n".join(text if form == "csv" else with_notes(text, notes, form) for text, notes in parts)
