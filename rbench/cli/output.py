"""Where commands put what they run, and how they show it."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from rbench.cli.program import OK, SOME_FAILED, fail, show, tell

if TYPE_CHECKING:
    from rbench.run import Run


def new_folder(name: str) -> Path:
    """A directory for a run that was given none."""
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


def training_folder(output: Path | None, name: str) -> Path:
    """The directory that was given, or a new one; it holds no run that measures costs."""
    from rbench.report import is_cost

    folder = output or new_folder(name)
    if is_cost(folder):
        fail(f"{folder} holds a run that measures costs; name another directory with -o")
    return folder


def end(run: "Run", *, json: bool) -> NoReturn:
    """Print a run's table with footnotes, or its rows as JSON, and end with the exit status that it deserves."""
    from rich.console import Console

    from rbench.report import footnotes, render, written_notes
    from rbench.report.display import print_table

    console, records = Console(), run.records
    if json:
        show(render(records, "json"))
    elif console.is_terminal:
        print_table(console, records)
    else:
        show(render(records, "markdown") + "\n\n" + written_notes(footnotes(records), "markdown"))
    tell(f"records: {run.directory}")
    raise typer.Exit(OK if run.ok else SOME_FAILED)
