"""`rbench sys-info`."""

import typer

from rbench.cli.program import app, errors


@app.command("sys-info")
def sys_info() -> None:
    """Print software and hardware as JSON, as every record holds them."""
    with errors():
        import json

        from rbench.run.provenance import provenance

        typer.echo(json.dumps(provenance(), indent=1))
