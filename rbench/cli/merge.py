"""`rbench merge`."""

from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import options
from rbench.cli.program import app, errors, tell
from rbench.cli.table import once


@app.command()
def merge(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Directories of runs, or bundles.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="A new directory for all records.")],
    plugin: options.Plugins = None,
) -> None:
    """Put the records of several runs into one directory, each with its own software and hardware."""
    with errors():
        from rbench.bundle import merge as write
        from rbench.bundle.merge import environments_differ

        merged = write(once(directories), output)
        if differ := environments_differ(merged.records):
            tell(
                f"rbench: environments differ ({'; '.join(differ)}): tables tell them apart, and a run into {output} "
                "is refused where its records were made differently than they would be now"
            )
        if merged.missing:
            tell(f"rbench: planned cells without a record: {merged.missing}; run their requests with -o {output}")
        tell(f"records: {output}, {len(merged.records)}")
