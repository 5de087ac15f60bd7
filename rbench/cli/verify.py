"""`rbench verify`."""

from typing import Annotated

import typer

from rbench.cli import options
from rbench.cli.output import tell_broken_plugins
from rbench.cli.program import OK, SOME_FAILED, app, errors, show
from rbench.text import visible


@app.command()
def verify(
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", "-b", metavar="SPEC", help="Backend; default all that can run here."),
    ] = None,
    dtype: Annotated[list[str] | None, typer.Option(metavar="NAME", help="float32 or float64; default both.")] = None,
    device: options.Devices = None,
    short: Annotated[bool, typer.Option("--short", help="Only the cases that `rbench run` begins with.")] = False,
    plugin: options.Plugins = None,
    json: Annotated[bool, typer.Option("--json", help="Print every case as JSON.")] = False,
) -> None:
    """Compare backends with a dense float64 oracle, and print the largest relative error of every check.

    Exit status: 0 all within tolerance, 1 some are not, 2 the request is wrong or a backend is unavailable.
    """
    with errors():
        from rich.console import Console

        from rbench.plugins import available, backend_specs, find_backend, get_backend
        from rbench.report import written_notes
        from rbench.report.display import bars
        from rbench.report.equivalence import equivalence_json, equivalence_notes, equivalence_table
        from rbench.testing import cases, short_cases
        from rbench.testing import verify as verify_backend

        tell_broken_plugins()
        names = backend_specs(backend) if backend else [name.partition(" ")[0] for name in available()]
        places = [(n, t, d) for n in names for t in dtype or find_backend(n).dtypes for d in device or (None,)]
        for place in places:
            find_backend(*place)
        chosen = short_cases() if short else cases()
        results = []
        with bars(Console(stderr=True)) as progress:
            bar = progress.add_task("", total=len(places) * len(chosen))
            for name, kind, where in places:
                progress.update(bar, description=visible(f"{name} {kind}"))
                found = get_backend(name, dtype=kind, device=where)
                results += verify_backend(found, chosen, lambda done, total: progress.advance(bar))
        show(
            equivalence_json(results)
            if json
            else equivalence_table(results) + "\n\n" + written_notes(equivalence_notes(results), "markdown")
        )
        raise typer.Exit(OK if all(result.passed for result in results) else SOME_FAILED)
