"""`rbench list`."""

from typing import Annotated

import typer

from rbench.cli import options
from rbench.cli.program import app, errors, fail, show
from rbench.text import json_text

KINDS = ("backends", "methods", "output_metrics", "losses", "tasks", "experiments", "suites")


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar=f"[{'|'.join(KINDS)}]", help="What to list; all if left out.")
    ] = None,
    plugin: options.Plugins = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what is registered, the settings it takes, and plugins that failed to load."""
    with errors():
        from rbench.names import unknown
        from rbench.report.catalogue import catalogue, describe

        if kind is not None and kind not in KINDS:
            fail(unknown("kind of entry", kind, KINDS))
        found = catalogue([kind] if kind else list(KINDS))
        show(json_text(found) if json else describe(found))
