"""`rbench plot`."""

from pathlib import Path
from typing import Annotated

import typer

from rbench.cli.program import app, errors, fail, tell
from rbench.cli.table import once


@app.command()
def plot(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Directories of runs, bundles, or .csv files of rows.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The picture: .png, .pdf or .svg.")],
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="What to draw, where the runs' experiments have several plots.")
    ] = None,
) -> None:
    """Draw a plot that the runs' experiment declares."""
    with errors():
        from rbench.report.charts import charts_of, draw_chart
        from rbench.report.load import load
        from rbench.report.plot import check_plot

        check_plot(output)
        records, warnings = load(once(directories))
        for warning in warnings:
            tell(f"rbench: {warning}")
        kinds = list(charts_of(records))
        if not kinds:
            fail("nothing to plot: the experiments of these runs declare no plot; `rbench table` has --curves")
        if kind is None and len(kinds) > 1:
            fail(f"several plots can be drawn of these runs; give one: --kind {' or --kind '.join(kinds)}")
        draw_chart(records, kind or kinds[0], output)
