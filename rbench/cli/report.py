"""`rbench report`."""

from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import options
from rbench.cli.program import app, errors, tell
from rbench.cli.table import once


@app.command()
def report(
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Directories of runs and tunes, bundles, or .csv files of rows."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page: .html.")],
    plugin: options.Plugins = None,
) -> None:
    """Write a page on one or more runs: tables, plots and all records in one file that needs no network."""
    with errors():
        from rbench.report.page import check_page, read_runs, render_page, save_page

        check_page(output)
        runs = read_runs(once(directories))
        for run in runs:
            for warning in run.warnings:
                tell(f"rbench: {warning}")
        save_page(render_page(runs), output)
