"""`rbench table`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rbench.cli.program import app, errors, fail


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
    format: Annotated[TableFormat, typer.Option("--format", help="Form of the table.")] = TableFormat.markdown,
    curves: Annotated[bool, typer.Option("--history", help="Print every evaluation instead, as CSV.")] = False,
    ranking: Annotated[bool, typer.Option("--ranking", help="Print ranks of methods over tasks instead.")] = False,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Print the performance profile of seconds to target instead, and plot it."),
    ] = None,
) -> None:
    """Print the comparison table of one or more runs; csv and json hold the raw rows, one a cell."""
    with errors():
        import json

        from rbench.report import (
            cost_footnotes,
            cost_rows,
            footnotes,
            history,
            is_cost,
            render,
            render_costs,
        )
        from rbench.report.load import load
        from rbench.report.profile import draw_profiles, render_profiles
        from rbench.report.ranking import render_ranking

        costs = [directory for directory in directories if is_cost(directory)]
        records, warnings = load([directory for directory in directories if directory not in costs])
        for warning in warnings:
            typer.echo(f"rbench: {warning}", err=True)
        others = curves, ranking, profile is not None
        if any(others) and costs:
            fail(f"{costs[0]} holds a run that measures costs, which has no history, ranks or profile")
        if sum(others) > 1:
            fail("give one of --history, --ranking and --profile")
        if curves:
            typer.echo(history(records).to_csv(index=False).rstrip())
            return
        if ranking:
            typer.echo(render_ranking(records, format.value))
            return
        if profile is not None:
            draw_profiles(records, profile)
            typer.echo(render_profiles(records, format.value))
            return
        notes = format is TableFormat.markdown
        parts = []
        if records or not costs:
            parts.append(render(records, format.value))
            parts += ["\n".join(footnotes(records))] * notes
        if costs:
            parts.append(render_costs(cost_rows(costs), format.value))
            parts += ["\n".join(cost_footnotes(costs))] * notes
        if format is TableFormat.json:
            parts = [json.dumps([row for part in parts for row in json.loads(part)], indent=1)]
        typer.echo("\n\n".join(parts))
