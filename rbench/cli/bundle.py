"""`rbench bundle`."""

from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import options
from rbench.cli.program import app, errors, tell


@app.command()
def bundle(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle: a .zip.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    plugin: options.Plugins = None,
) -> None:
    """Put a run into one file: records, request, environment, versions and sums, with a page that explains them."""
    with errors():
        from rbench.bundle import bundle as write

        found = write(directory, output, force=force)
        if found.missing:
            tell(f"rbench: planned cells without a record: {found.missing}; the bundle says so")
        tell(f"bundle: {output}, {len(found.records)} records, {output.stat().st_size:,} bytes")
