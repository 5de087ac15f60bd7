"""`rbench table`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli import options
from rbench.cli.blocks import check_blocks, fill_block, refill_blocks
from rbench.cli.output import look, show_table
from rbench.cli.program import app, errors, fail, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rbench.report import Format
    from rbench.report.layout import View


class TableFormat(StrEnum):
    """Forms of the table."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"
    json = "json"
    terminal = "terminal"


class Grouped(StrEnum):
    """What tables are made of one each."""

    task = "task"
    backend = "backend"
    network = "network"
    none = "none"


@app.command()
def table(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR...", help="Directories of runs, bundles, .csv files of rows; of --check, files."),
    ] = None,
    format: Annotated[
        TableFormat | None,
        typer.Option("--format", help="Form of the table; default markdown, terminal on one, or csv for a history."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Columns to show besides task and method, by commas; or all. E.g. spec."),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", metavar="TEXT", help="Only methods with this in their SPEC.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", "-t", metavar="TEXT", help="Only tasks with this in their SPEC.")
    ] = None,
    group: Annotated[Grouped, typer.Option(help="A table for each, or one for all.")] = Grouped.task,
    sort: Annotated[
        str, typer.Option(metavar="NAME", help="Column to sort by, the best first; default the figure that judges.")
    ] = "",
    caption: Annotated[
        str,
        typer.Option(metavar="TEXT", help="A caption; seeds, tuning, data, device and versions are added."),
    ] = "",
    transpose: Annotated[bool, typer.Option("--transpose", help="Figures as rows, methods as columns.")] = False,
    across: Annotated[
        str, typer.Option(metavar="NAME", help="Column whose values stand beside each other. E.g. backend.")
    ] = "",
    no_intervals: Annotated[bool, typer.Option("--no-intervals", help="Leave out the intervals of figures.")] = False,
    no_notes: Annotated[bool, typer.Option("--no-notes", help="Leave out the notes below the tables.")] = False,
    update: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table into a block of FILE; without DIR all blocks.")
    ] = None,
    marker: Annotated[str, typer.Option(metavar="NAME", help="The block of FILE.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Make the tables in files again, and end with status 1 where one differs.")
    ] = False,
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
    plugin: options.Plugins = None,
) -> None:
    """Print the comparison table of one or more runs; csv and json hold the raw rows, one per cell.

    Exit status: 0 done; 1 a checked table differs from what its command makes; 2 the request is wrong.
    """
    if check:
        check_blocks(directories or [])
    if update is not None and not directories:
        refill_blocks(update)
        return
    if not directories:
        fail("name the directories of runs, DIR...")
    if (update is None) != (not marker):
        fail("--update FILE and --marker NAME go together; give both")
    plots = {"profile": profile, "sensitivity": sensitivity, "curves": curves}
    whole = {"history": history, "ranking": ranking, "profile": profile, "sensitivity": sensitivity}
    kinds = [name for name, given in whole.items() if given]
    if len(kinds) > 1:
        fail("give one of --history, --ranking, --profile and --sensitivity")
    if history and format not in (None, TableFormat.csv, TableFormat.json):
        fail(f"--history has no form {format.value}: it prints csv or json; leave --format out, or name one of them")
    laid: dict[str, Any] = {
        "--columns": columns,
        "--group": None if group is Grouped.task else group.value,
        "--sort": sort,
    }
    laid |= {"--caption": caption, "--across": across, "--transpose": transpose}
    laid |= {"--no-intervals": no_intervals, "--no-notes": no_notes}
    if kinds or format in (TableFormat.csv, TableFormat.json):
        for option in (option for option, given in laid.items() if given):
            fail(f"{option} lays out the comparison; raw rows, ranks, profiles and studies have a form of their own")
    if update is not None:
        if history or any(plots.values()):
            fail("--update takes the comparison or --ranking; leave the others out")
        more = {"--format": format and format.value, "--method": method, "--task": task, "--ranking": ranking}
        fill_block(update, marker, directories, _words(laid | more))
        return
    with errors():
        from rbench.report.layout import View
        from rbench.report.plot import check_plot

        for path in filter(None, plots.values()):
            check_plot(path)
        names = tuple(name.strip() for part in columns or () for name in part.split(",") if name.strip())
        rows = tuple(method or ()), tuple(task or ())
        view = View(names, *rows, group.value, sort, caption, transpose, across, not no_intervals, not no_notes)
        form: Format = format.value if format else "csv" if history else look()
        show_table(_text(once(directories), kinds[0] if kinds else "", plots, form, view), form)


def _words(options: "Mapping[str, Any]") -> list[str]:
    """Options as words of a command: flags alone, and others before each of their values."""
    words: list[str] = []
    for name, value in options.items():
        if value is True:
            words.append(name)
        elif value:
            words += [word for one in ([value] if isinstance(value, str) else value) for word in (name, one)]
    return words


def _text(directories: list[Path], kind: str, plots: "Mapping[str, Path | None]", form: "Format", view: "View") -> str:
    """What is printed of some runs: the comparison, or a kind of analysis; plots that are asked for are written."""
    from rbench.report import render_history, render_tables, written_notes
    from rbench.report.drawing import save_pictures
    from rbench.report.kinds import pictures
    from rbench.report.load import load
    from rbench.report.profile import render_profiles
    from rbench.report.ranking import render_ranking
    from rbench.report.selection import filtered
    from rbench.report.sensitivity import render_sensitivity
    from rbench.run import Training

    records, warnings = load(directories)
    asked = {name: path for name, path in plots.items() if path is not None}
    if (kind or asked) and (strange := {record.cell.name for record in records} - {Training.name}):
        what = "history, ranks, profile, sensitivity and curves"
        fail(f"{what} are of training, and these are of {', '.join(sorted(strange))}")
    for warning in warnings:
        tell(f"rbench: {warning}")
    chosen, said = filtered(records, view)
    analyses: dict[str, Callable[..., str]] = {
        "history": render_history, "ranking": render_ranking, "profile": render_profiles,
        "sensitivity": render_sensitivity,
    }  # fmt: skip
    text = analyses[kind](chosen, form) if kind else render_tables(records, form, view)
    for name, path in asked.items():
        save_pictures(pictures("heatmap" if name == "sensitivity" else name, chosen), path)
    if form == "csv" or form == "json":
        for sentence in said:
            tell(f"rbench: {sentence}")
        return text
    return f"{text}\n\n{written_notes(said, form)}" if kind and said else text


def once(directories: list[Path]) -> list[Path]:
    """Each directory once, under the first name that was given for it."""
    found: dict[Path, Path] = {}
    for directory in directories:
        first = found.setdefault(directory.resolve(), directory)
        if first is not directory:
            same = "" if directory == first else f", which is {first},"
            tell(f"rbench: {directory}{same} is given twice, and read once")
    return list(found.values())
