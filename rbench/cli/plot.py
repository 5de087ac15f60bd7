"""`rbench plot`."""

from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import options
from rbench.cli.program import app, errors, fail, show, tell
from rbench.cli.table import once
from rbench.text import visible


@app.command()
def plot(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Directories of runs, bundles, or .csv files of rows.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The picture: .pdf, .svg or .png.")],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="curves, pareto, profile, ranks, scaling, breakdown, heatmap, or a plot that the experiment declares; "
            "needed where several can be drawn.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Method over which a profile states speed-ups; default sgd where it ran."),
    ] = None,
    columns: Annotated[
        int | None, typer.Option(metavar="1|2", help="Columns of a two-column paper: 3.3 or 7 inches.", min=1, max=2)
    ] = None,
    width: Annotated[
        float | None, typer.Option(metavar="INCHES", help="Width in place of --columns.", min=2, max=40)
    ] = None,
    plugin: options.Plugins = None,
) -> None:
    """Draw a plot of one or more runs, for a paper; what its reader must know is printed, as a caption."""
    if columns is not None and width is not None:
        fail("give one of --columns and --width: both say how wide the plot is")
    with errors():
        from rbench.report.drawing import WIDTHS, save_pictures
        from rbench.report.kinds import kinds_of, pictures
        from rbench.report.load import load
        from rbench.report.plot import check_plot

        check_plot(output)
        records, warnings = load(once(directories))
        for warning in warnings:
            tell(f"rbench: {warning}")
        if kind is None:
            kinds = kinds_of(records)
            if not kinds:
                fail("nothing to plot: these runs have no evaluation, target, sweep or part, and declare no plot")
            if len(kinds) > 1:
                fail(f"several plots can be drawn of these runs; give one: --kind {' or --kind '.join(kinds)}")
            (kind,) = kinds
        if reference is not None and kind != "profile":
            fail(f"--reference is of --kind profile, and this is {kind}; leave it out")
        drawn = pictures(kind, records, reference)
        save_pictures(drawn, output, width or WIDTHS[columns or 2])
        show("\n".join(dict.fromkeys(visible(note) for picture in drawn for note in picture.notes)))
