"""`rbench table`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli.program import app, errors, fail, show, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from rbench.report import Format
    from rbench.run import Record


class TableFormat(StrEnum):
    """Forms of the table."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"
    json = "json"


@app.command()
def table(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Directories of runs.")],
    format: Annotated[
        TableFormat | None, typer.Option("--format", help="Form of the table; default markdown, of a history csv.")
    ] = None,
    curves: Annotated[
        bool, typer.Option("--history", help="Print every evaluation instead, as csv or json, a row each.")
    ] = False,
    ranking: Annotated[bool, typer.Option("--ranking", help="Print ranks of methods over tasks instead.")] = False,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Print the performance profile of seconds to target instead, and plot it."),
    ] = None,
) -> None:
    """Print the comparison table of one or more runs; csv and json hold the raw rows, one a cell."""
    others = {"--history": curves, "--ranking": ranking, "--profile": profile is not None}
    if sum(others.values()) > 1:
        fail("give one of --history, --ranking and --profile")
    if curves and format not in (None, TableFormat.csv, TableFormat.json):
        fail(f"--history has no form {format.value}: it prints csv or json; leave --format out, or name one of them")
    with errors():
        from rbench.report import is_cost, render_history
        from rbench.report.load import load
        from rbench.report.plot import check_plot
        from rbench.report.profile import draw_profiles, render_profiles
        from rbench.report.ranking import render_ranking

        if profile is not None:
            check_plot(profile)
        form: Format = (format or TableFormat.markdown).value
        directories = _once(directories)
        costs = [directory for directory in directories if is_cost(directory)]
        if any(others.values()) and costs:
            fail(f"{costs[0]} holds a run that measures costs, which has no history, ranks or profile")
        records, warnings = load([directory for directory in directories if directory not in costs])
        for warning in warnings:
            tell(f"rbench: {warning}")
        if curves:
            show(render_history(records, "json" if format is TableFormat.json else "csv"))
        elif ranking:
            show(render_ranking(records, form))
        elif profile is not None:
            shown = render_profiles(records, form)
            draw_profiles(records, profile)
            show(shown)
        else:
            show(_tables(records, costs, form))


def _tables(records: "list[Record]", costs: list[Path], form: "Format") -> str:
    """The table of records and the tables of costs, with their notes where the form is one to look at."""
    import json

    from rbench.report import cost_footnotes, cost_rows, footnotes, render, render_costs, written_notes
    from rbench.text import json_text

    parts: list[tuple[str, Callable[[], list[str]]]] = []
    if records or not costs:
        parts.append((render(records, form), lambda: footnotes(records)))
    if costs:
        parts.append((render_costs(cost_rows(costs), form), lambda: cost_footnotes(costs)))
    if form == "json":
        return json_text([row for text, _ in parts for row in json.loads(text)])
    if form == "csv":
        return "\n\n".join(text for text, _ in parts)
    return "\n\n".join(f"{text}\n\n{written_notes(notes(), form)}" for text, notes in parts)


def _once(directories: list[Path]) -> list[Path]:
    """Each directory once, under the first name that was given for it."""
    found: dict[Path, Path] = {}
    for directory in directories:
        first = found.setdefault(directory.resolve(), directory)
        if first is not directory:
            same = "" if directory == first else f", which is {first},"
            tell(f"rbench: {directory}{same} is given twice, and read once")
    return list(found.values())
