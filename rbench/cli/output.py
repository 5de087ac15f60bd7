"""Where commands put what they run, and how they show it."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from rbench.cli.flags import with_flags
from rbench.cli.program import OK, SOME_FAILED, show, tell

if TYPE_CHECKING:
    from rbench.report.forms import Look
    from rbench.run import Record, Run


def new_folder(name: str) -> Path:
    """A new directory's name, for a run without -o."""
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


def tell_broken_plugins() -> None:
    """Report every plugin that failed to load."""
    from rbench.plugins import NEEDED, plugins

    for kind in NEEDED:
        plugins().registered(kind)
    for failure in plugins().failures:
        tell(f"rbench: plugin {failure.name!r} failed to load: {failure.error}")


def look() -> "Look":
    """The form of a table that is asked for no other: a terminal's, or Markdown where the output is none."""
    return "terminal" if sys.stdout.isatty() else "markdown"


def show_table(text: str, form: str) -> None:
    """Print a table; on a terminal what it names in backquotes stands for options."""
    show(with_flags(text) if form == "terminal" else text)


def end(run: "Run", *, json: bool) -> NoReturn:
    """Print a run's table with footnotes, or its rows as JSON, and end with its exit status."""
    from rbench.errors import RbenchError
    from rbench.report import render_tables
    from rbench.report.drawing import save_pictures
    from rbench.report.kinds import kinds_of, pictures

    records = run.records
    if "scaling" in kinds_of([record for record in records if record.cell.series is not None]):
        try:
            save_pictures(pictures("scaling", records), run.directory / "scaling.png")
            tell(f"plot: {run.directory / 'scaling.png'}")
        except RbenchError as error:
            tell(f"rbench: {error}")
    if json:
        show(render_tables(records, "json"))
    elif (studied := _studied(records)) is not None:
        show_table(studied, look())
    else:
        show_table(render_tables(records, look()), look())
    tell(f"records: {run.directory}")
    raise typer.Exit(OK if run.ok else SOME_FAILED)


def _studied(records: "Sequence[Record]") -> str | None:
    """The table of a study of sensitivity; None where the records are of another suite, or too few."""
    from rbench.errors import DataError
    from rbench.report.sensitivity import render_sensitivity
    from rbench.run.request import find_suite
    from rbench.sensitivity import SensitivitySuite

    if not all(isinstance(find_suite(record.cell.suite), SensitivitySuite) for record in records):
        return None
    try:
        return render_sensitivity(records, look())
    except DataError as error:
        tell(f"rbench: {error}")
        return None
