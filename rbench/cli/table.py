"""`rbench table`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli.program import app, errors, fail, show, tell

if TYPE_CHECKING:
    from rbench.report import Format


class TableFormat(StrEnum):
    """Forms of the table."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"
    json = "json"


@app.command()
def table(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Directories of runs, bundles, or .csv files of rows.")
    ],
    format: Annotated[
        TableFormat | None, typer.Option("--format", help="Form of the table; default markdown, or csv for a history.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Print every evaluation instead, one per row, as csv or json.")
    ] = False,
    ranking: Annotated[bool, typer.Option("--ranking", help="Print ranks of methods over tasks instead.")] = False,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Print the performance profile of seconds to target instead, and plot it."),
    ] = None,
    sensitivity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Print what points of settings say about each method instead, and plot it."),
    ] = None,
    curves: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also plot test error against seconds and against steps.")
    ] = None,
) -> None:
    """Print the comparison table of one or more runs; csv and json hold the raw rows, one per cell."""
    others = {"--history": history, "--ranking": ranking, "--profile": profile is not None}
    others |= {"--sensitivity": sensitivity is not None}
    if sum(others.values()) > 1:
        fail("give one of --history, --ranking, --profile and --sensitivity")
    if history and format not in (None, TableFormat.csv, TableFormat.json):
        fail(f"--history has no form {format.value}: it prints csv or json; leave --format out, or name one of them")
    with errors():
        from rbench.report import render_history, render_tables
        from rbench.report.drawing import save_pictures
        from rbench.report.kinds import pictures
        from rbench.report.load import load
        from rbench.report.plot import check_plot
        from rbench.report.profile import render_profiles
        from rbench.report.ranking import render_ranking
        from rbench.report.sensitivity import render_sensitivity
        from rbench.run import Training

        for path in (profile, sensitivity, curves):
            if path is not None:
                check_plot(path)
        form: Format = (format or TableFormat.markdown).value
        directories = once(directories)
        records, warnings = load(directories)
        of_training = any(others.values()) or curves is not None
        if of_training and (strange := {record.cell.name for record in records} - {Training.name}):
            kinds = "history, ranks, profile, sensitivity and curves"
            fail(f"{kinds} are of training, and these are of {', '.join(sorted(strange))}")
        for warning in warnings:
            tell(f"rbench: {warning}")
        if curves is not None:
            save_pictures(pictures("curves", records), curves)
        if history:
            show(render_history(records, "json" if format is TableFormat.json else "csv"))
        elif ranking:
            show(render_ranking(records, form))
        elif profile is not None:
            shown = render_profiles(records, form)
            save_pictures(pictures("profile", records), profile)
            show(shown)
        elif sensitivity is not None:
            shown = render_sensitivity(records, form)
            save_pictures(pictures("heatmap", records), sensitivity)
            show(shown)
        else:
            show(render_tables(records, form))


def once(directories: list[Path]) -> list[Path]:
    """Each directory once, under the first name that was given for it."""
    found: dict[Path, Path] = {}
    for directory in directories:
        first = found.setdefault(directory.resolve(), directory)
        if first is not directory:
            same = "" if directory == first else f", which is {first},"
            tell(f"rbench: {directory}{same} is given twice, and read once")
    return list(found.values())
