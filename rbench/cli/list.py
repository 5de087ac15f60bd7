"""`rbench list`."""

from enum import StrEnum
from typing import Annotated

import typer

from rbench.cli.program import app, errors, show


class Kind(StrEnum):
    """What can be listed."""

    backends = "backends"
    methods = "methods"
    tasks = "tasks"
    suites = "suites"


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; all if left out.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what is registered, the settings it takes, and plugins that failed to load."""
    with errors():
        from rbench.report.catalogue import catalogue, describe

        found = catalogue([kind.value] if kind else [k.value for k in Kind])
        show(describe(found, as_json=json))
