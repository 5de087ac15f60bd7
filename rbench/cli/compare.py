"""`rbench compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli import options
from rbench.cli.program import OK, SOME_FAILED, app, errors, fail, show, tell
from rbench.cli.table import TableFormat

if TYPE_CHECKING:
    from rbench.report import Format


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="DIR_A", help="Directory of the run to compare with.")],
    second: Annotated[Path, typer.Argument(metavar="DIR_B", help="Directory of the run to judge.")],
    threshold: Annotated[
        float, typer.Option(metavar="RATIO", help="Ratio of B to A above which a figure is worse.")
    ] = 1.1,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            "--figure", "-f", metavar="NAME", help="Figure to compare, such as step_seconds; default all but seconds."
        ),
    ] = None,
    plugin: options.Plugins = None,
    format: Annotated[TableFormat | None, typer.Option("--format", help="Form of the table; default markdown.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Compare two runs cell by cell, seed by seed; csv and json hold every ratio with its verdict.

    Exit status: 0 nothing is worse; 1 a figure is worse, beyond the threshold and beyond noise, or a cell that was ok
    in A is not ok in B, or missing; 2 the request is wrong, or the runs have nothing in common.
    """
    if json and format not in (None, TableFormat.json):
        fail(f"--json and --format {format.value} are two forms of one table; give one of them")
    with errors():
        from rbench.report import written_notes
        from rbench.report.changes import change_notes, render_changes, run_facts, unlike
        from rbench.report.compare import compare as compared
        from rbench.report.load import load

        (a, warnings_a), (b, warnings_b) = load([first]), load([second])
        for warning in (*warnings_a, *warnings_b):
            tell(f"rbench: {warning}")
        changes = compared(a, b, figure or (), threshold)
        made = run_facts(a), run_facts(b)
        for difference in unlike(*made):
            tell(f"rbench: made differently, {difference}")
        form: Format = "json" if json else (format or TableFormat.markdown).value
        shown = render_changes(changes, form)
        if form != "csv" and form != "json":
            shown += "\n\n" + written_notes(change_notes(changes, threshold), form)
        show(shown)
        raise typer.Exit(SOME_FAILED if any(change.fails for change in changes) else OK)
