"""`rbench tune`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli import options
from rbench.cli.output import end, new_folder, tell_broken_plugins
from rbench.cli.program import app, errors, fail, show, stoppable, tell
from rbench.text import json_text, visible

if TYPE_CHECKING:
    from rbench.tune import Plan, TuneRequest


@app.command()
def tune(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Suite whose tasks are tuned.")] = "quick",
    trials: Annotated[
        int,
        typer.Option(metavar="N", help="Trials of each method on each task; powers of two cover best.", min=1),
    ] = 8,
    finalists: Annotated[
        int | None,
        typer.Option(metavar="N", help="Best trials that are run again, to choose among; default 3.", min=1),
    ] = None,
    confirmations: Annotated[
        int, typer.Option(metavar="N", help="Further seeds that each of them is run on; 0: the best trial wins.", min=0)
    ] = 2,
    backend: Annotated[str, typer.Option("--backend", "-b", metavar="NAME", help="Backend.")] = "numpy",
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", "-m", metavar="SPEC", help="Method; what brackets set is held, the rest of its space searched."
        ),
    ] = None,
    task: options.Tasks = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Seeds that the best settings are run on; no trial has them.", min=1)
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="S", help="Seed of the trials and of the points they try.", min=0)
    ] = 1000,
    steps: options.Steps = None,
    epochs: options.Epochs = None,
    seconds: options.Seconds = None,
    batch_size: options.BatchSize = None,
    dtype: Annotated[str | None, typer.Option(metavar="NAME", help="float32 (default) or float64.")] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="Device; default the backend's own.")] = None,
    output: options.Output = None,
    jobs: options.Jobs = 1,
    threads: options.Threads = None,
    unofficial_data: options.UnofficialData = False,
    timeout: options.Timeout = None,
    memory_limit: options.MemoryLimit = None,
    max_cells: options.MaxCells = None,
    plugin: options.Plugins = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Search settings with equal trials for every method, then run the best on other seeds and end with the table.

    Trials train on five sixths of the training set and are judged on the rest, at one seed; the best few of each method
    are run on further seeds, and the best mean is chosen. DIR/tuned.json holds what was found, for
    `rbench run --tuned`. The same command with -o DIR goes on where it stopped.

    Exit status: 0 all runs ok, 1 some did not end ok, 2 the request is wrong or a backend is unavailable.
    """
    with errors():
        from rbench.tune import TuneRequest

        tell_broken_plugins()
        if finalists is not None and not confirmations:
            fail(f"--finalists {finalists} with --confirmations 0: nothing is run again; leave one of them out")
        given = {"finalists": finalists, "max_cells": max_cells}
        request = TuneRequest(
            suite=suite,
            tasks=tuple(task or ()),
            methods=tuple(method or ()),
            trials=trials,
            confirmations=confirmations,
            seed=seed,
            seeds=seeds,
            backend=backend,
            budget=options.budget(epochs, steps, seconds),
            batch_size=batch_size,
            dtype=dtype,
            device=device,
            threads=threads,
            jobs=jobs,
            timeout=options.limit(timeout),
            memory_limit=options.size(memory_limit),
            unofficial_data=unofficial_data,
            **{name: value for name, value in given.items() if value is not None},
        )
        if dry_run:
            _print_plan(request.plan(), json)
            return
        _tune(request, output or new_folder(f"tune-{suite}"), json=json)


def _tune(request: "TuneRequest", folder: Path, *, json: bool) -> None:
    """Run the trials and then the best settings, and end with the table."""
    from rich.console import Console

    from rbench.report.display import display
    from rbench.tune import rerun, search

    console = Console(stderr=True)
    with stoppable(f"the same command with -o {folder} goes on where it stopped"):
        with display(console) as shown:
            found = search(request, folder, shown)
        tell(f"settings: {folder / 'tuned.json'}")
        with display(console) as shown:
            done = rerun(request, found, folder, shown)
    end(done, json=json)


def _print_plan(plan: "Plan", as_json: bool) -> None:
    if as_json:
        show(json_text({"trials": plan.trials, **plan.facts()}))
        return
    for search in plan.searches:
        show(visible(f"{search.name}: {search.space_in_words()}"))
    again = f", and {plan.finalists} of each on {len(plan.confirming)} further seeds" if plan.confirming else ""
    show(f"trials: {len(plan.searches)} × {plan.trials}" + again)
