"""`rbench sys-info`."""

from rbench.cli import options
from rbench.cli.program import app, errors, show
from rbench.text import json_text


@app.command("sys-info")
def sys_info(
    plugin: options.Plugins = None,
) -> None:
    """Print software and hardware as JSON, as every record holds them."""
    with errors():
        from rbench.run.provenance import provenance

        show(json_text(provenance()))
