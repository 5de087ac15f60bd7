"""`rbench run`."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli import options
from rbench.cli.output import end, new_folder, tell_broken_plugins, training_folder
from rbench.cli.program import OK, SOME_FAILED, app, errors, fail, show, stoppable, tell
from rbench.text import json_text, visible

if TYPE_CHECKING:
    from rbench.cost import CostRequest, Plan
    from rbench.run import Cell, Request
    from rbench.run.cluster import Cluster


@app.command()
def run(
    suites: Annotated[list[str] | None, typer.Argument(metavar="SUITE", help="Suites to run; default quick.")] = None,
    backend: options.Backends = None,
    method: options.Methods = None,
    task: options.Tasks = None,
    seeds: options.Seeds = None,
    fix: options.Fix = None,
    steps: options.Steps = None,
    epochs: options.Epochs = None,
    seconds: options.Seconds = None,
    evaluations: options.Evaluations = None,
    batch_size: options.BatchSize = None,
    dtype: options.Dtypes = None,
    device: options.Devices = None,
    output: options.Output = None,
    force: options.Force = False,
    jobs: options.Jobs = 1,
    threads: options.Threads = None,
    unofficial_data: options.UnofficialData = False,
    timeout: options.Timeout = None,
    memory_limit: options.MemoryLimit = None,
    tuned: options.TunedFile = None,
    executor: options.Executor = options.ExecutorName.local,
    scheduler: options.Scheduler = None,
    retries: options.Retries = None,
    max_cells: options.MaxCells = None,
    tls_ca: options.TlsCa = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Run suites and end with the table.

    Exit status: 0 all cells ok, 1 some did not end ok, 2 the request is wrong or a backend is unavailable.
    """
    with errors():
        from rbench.plugins import plugins
        from rbench.run import CostSuite

        tell_broken_plugins()
        names = tuple(suites or ("quick",))
        asked: dict[str, Any] = {
            **({} if max_cells is None else {"max_cells": max_cells}),
            "backends": tuple(backend or ("numpy",)),
            "methods": tuple(method or ()),
            "batch_size": batch_size,
            "dtypes": tuple(dtype or ("float32",)),
            "devices": tuple(device or ()),
            "threads": threads,
        }
        if any(isinstance(plugins().find("suites", name), CostSuite) for name in names):
            from rbench.cost import CostRequest

            given = {
                "--seeds": seeds, "--fix": fix, "--steps": steps, "--epochs": epochs, "--seconds": seconds,
                "--evaluations": evaluations,
                "--timeout": timeout, "--jobs": jobs > 1, "--unofficial-data": unofficial_data, "--tuned": tuned,
                "--memory-limit": memory_limit, "--executor": executor is not options.ExecutorName.local,
                "--scheduler": scheduler, "--retries": retries, **options.tls(tls_ca, tls_cert, tls_key),
            }  # fmt: skip
            if len(names) > 1:
                fail(f"{', '.join(names)}: a suite that measures costs runs alone; give one command for each")
            if refused := [option for option, value in given.items() if value is not None and value is not False]:
                fail(f"suite {names[0]!r} measures costs and trains nothing: leave out {', '.join(refused)}")
            costs = CostRequest(suite=names[0], networks=tuple(task or ()), **asked)
            _measure(costs, output, force=force, dry_run=dry_run, json=json)
        else:
            from rbench.run import Request

            request = Request(
                suites=names,
                tasks=tuple(task or ()),
                seeds=seeds,
                fixed=options.sources(fix),
                budget=options.budget(epochs, steps, seconds),
                evaluations=evaluations,
                jobs=jobs,
                unofficial_data=unofficial_data,
                tuned=None if tuned is None else str(tuned),
                **asked,
            )
            limits = {"timeout": options.limit(timeout), "memory_limit": options.size(memory_limit)}
            cluster = options.cluster(executor, scheduler, retries, options.tls(tls_ca, tls_cert, tls_key), jobs)
            _train(request, output, limits, cluster, force=force, dry_run=dry_run, json=json)


def _train(
    request: "Request",
    output: Path | None,
    limits: dict[str, Any],
    cluster: "Cluster | None",
    *,
    force: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Run the cells, and end with the table."""
    from rich.console import Console

    from rbench.report.display import display
    from rbench.run import check
    from rbench.run import run as run_request

    if dry_run:
        cells = request.cells(here=cluster is None)
        check(cells, here=cluster is None)
        _print_cells(cells, json)
        return
    folder = training_folder(output, "-".join(request.suites))
    with stoppable(_way_on(folder)), cluster or nullcontext(), display(Console(stderr=True)) as shown:
        done = run_request(request, folder, shown, force=force, cluster=cluster, **limits)
    end(done, json=json)


def _measure(request: "CostRequest", output: Path | None, *, force: bool, dry_run: bool, json: bool) -> None:
    """Measure costs, and end with the table."""
    from rich.console import Console

    from rbench.cost import measure
    from rbench.errors import RbenchError
    from rbench.report import cost_footnotes, cost_rows, plot_sweeps, render_costs, series_of, written_notes
    from rbench.report.display import progress_bar
    from rbench.report.display import say as say_line

    if dry_run:
        _print_plans(request.plans(), json)
        return
    folder = output or new_folder(request.suite)
    console, count = Console(stderr=True), sum(len(plan.cases) for plan in request.plans())
    with stoppable(_way_on(folder)), progress_bar(console, count) as bar:

        def say(text: str, ended: int) -> None:
            say_line(console, text)
            bar.advance(ended)

        ok = measure(request, folder, say, force=force)
    rows = cost_rows([folder])
    if series := series_of(rows):
        try:
            plot_sweeps(series, folder / "scaling.png")
            tell(f"plot: {folder / 'scaling.png'}")
        except RbenchError as error:
            tell(f"rbench: {error}")
    shown = render_costs(rows, "json" if json else "markdown")
    show(shown if json else shown + "\n\n" + written_notes(cost_footnotes([folder]), "markdown"))
    tell(f"results: {folder}")
    raise typer.Exit(OK if ok else SOME_FAILED)


def _way_on(folder: Path) -> str:
    return f"the same command with -o {folder}, without --force, goes on where it stopped"


def _print_cells(cells: "list[Cell]", as_json: bool) -> None:
    if as_json:
        show(json_text([cell.model_dump() for cell in cells]))
        return
    for cell in cells:
        show(visible(f"{cell.suite} {cell.task} {cell.method} {cell.backend} {cell.dtype} seed {cell.seed}"))
    show(f"cells: {len(cells)}")


def _print_plans(plans: "list[Plan]", as_json: bool) -> None:
    if as_json:
        show(json_text([plan.model_dump() for plan in plans]))
        return
    for plan in plans:
        for case in plan.cases:
            show(visible(f"{plan.suite} {case} {plan.backend} {plan.dtype}"))
    show(f"cases: {sum(len(plan.cases) for plan in plans)}")
