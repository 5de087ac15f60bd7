"""Where commands put what they run, and how they show it."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rbench.run import Record


def new_folder(name: str) -> Path:
    """A directory for a run that was given none."""
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


def print_records(records: "list[Record]", *, json: bool) -> None:
    """The comparison table with footnotes, or the rows as JSON."""
    from rich.console import Console

    from rbench.report import footnotes, render
    from rbench.report.display import print_table

    console = Console()
    if json:
        typer.echo(render(records, "json"))
    elif console.is_terminal:
        print_table(console, records)
    else:
        typer.echo(render(records, "markdown") + "\n\n" + "\n".join(footnotes(records)))
