"""`rbench reproduce`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli import options
from rbench.cli.output import new_folder, tell_broken_plugins
from rbench.cli.program import OK, SOME_FAILED, app, errors, show, stoppable, tell
from rbench.text import visible

if TYPE_CHECKING:
    from rbench.bundle import Bundle
    from rbench.bundle.reproduce import Runnable
    from rbench.run.record import Record


@app.command()
def reproduce(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle of `rbench bundle`.")],
    output: options.Output = None,
    jobs: options.Jobs = 1,
    timeout: options.Timeout = None,
    memory_limit: options.MemoryLimit = None,
    threshold: Annotated[
        float, typer.Option(metavar="RATIO", help="Ratio up to which a figure beyond noise still counts as the same.")
    ] = 1.1,
    figure: Annotated[
        list[str] | None,
        typer.Option("--figure", "-f", metavar="NAME", help="Figure to compare; default all but seconds."),
    ] = None,
    plugin: options.Plugins = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Run the cells of a bundle here, and say of each figure whether it is within noise of the bundle's.

    Exit status: 0 all are, 1 some are not, or a cell ended differently, 2 nothing can be run.
    """
    with errors():
        from rich.console import Console

        from rbench.bundle.contents import read_bundle
        from rbench.bundle.reproduce import reproduce as run_again
        from rbench.bundle.reproduce import runnable
        from rbench.report.display import display
        from rbench.run.local import LocalExecutor
        from rbench.run.machine import CellLimits

        tell_broken_plugins()
        source = read_bundle(file)
        found = runnable(source)
        if source.missing:
            tell(f"rbench: planned cells without a record in the bundle, which are not run: {source.missing}")
        _tell_what_differs(found)
        _tell_of_plugins(file, source)
        if dry_run:
            for cell in found.cells:
                show(visible(f"{cell.suite} {cell.title}"))
            show(f"cells: {len(found.cells)}")
            return
        folder = output or new_folder(f"reproduce-{file.stem}")
        limits = CellLimits(timeout=options.limit(timeout), memory_limit=options.size(memory_limit))
        limits.memory_pass = any(record.memory_status is not None for record in found.records)
        way_on = f"the same command with -o {folder} goes on where it stopped"
        with stoppable(way_on), display(Console(stderr=True)) as shown:
            after = run_again(found, file, folder, shown, LocalExecutor(jobs), limits)
        tell(f"records: {folder}")
        _end(found.records, after, figure or [], threshold, json=json)


def _tell_what_differs(found: "Runnable") -> None:
    for reason, count in found.left_out.items():
        tell(f"rbench: left out, {count} cells: {reason}")
    for change in found.changes():
        tell(f"rbench: not as in the bundle, {change}")


def _tell_of_plugins(file: Path, source: "Bundle") -> None:
    """Say how to take plugins out of the bundle that this process has no file of; nothing is run unasked."""
    from rbench.plugins import plugins

    here = {one.name for one in plugins().files.values()}
    for name in source.plan.all_plugin_files():
        if name not in here:
            tell(
                f"rbench: the run had the plugin {name}, which the bundle holds; take it out "
                f"(unzip -j {shlex.quote(str(file))} run/plugins/{name}), read it, and add --plugin {name}"
            )


def _end(before: "list[Record]", after: "list[Record]", figures: list[str], threshold: float, *, json: bool) -> None:
    from rbench.bundle.reproduce import ended_differently
    from rbench.report.changes import run_facts, unlike
    from rbench.report.reproduction import is_within, render_reproduction, reproduction

    for difference in unlike(run_facts(before), run_facts(after)):
        tell(f"rbench: made differently, {difference}")
    changes = reproduction(before, after, figures, threshold)
    if changes:
        show(render_reproduction(changes, "json" if json else "markdown"))
    ended = ended_differently(before, after)
    for words in ended:
        tell(f"rbench: ended differently, {words}")
    outside = sum(not is_within(change) for change in changes)
    unknown = sum(change.verdict == "unknown" for change in changes)
    words = f"figures: {len(changes)}; not within noise: {outside}"
    tell(words + (f"; not judged, of one seed: {unknown}" if unknown else ""))
    raise typer.Exit(SOME_FAILED if outside or ended else OK)
