"""`rbench run`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli import options
from rbench.cli.output import end, new_folder, tell_broken_plugins
from rbench.cli.program import app, errors, show, stoppable, tell
from rbench.text import json_text, visible

if TYPE_CHECKING:
    from pathlib import Path

    from rbench.run import Cell


@app.command()
def run(
    suites: Annotated[list[str] | None, typer.Argument(metavar="SUITE", help="Suites to run; default quick.")] = None,
    backend: options.Backends = None,
    method: options.Methods = None,
    task: options.Tasks = None,
    seeds: options.Seeds = None,
    points: options.Points = None,
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
    memory: options.MemoryPass = True,
    tuned: options.TunedFile = None,
    executor: options.Where = options.ExecutorName.local,
    scheduler: options.Scheduler = None,
    retries: options.Retries = None,
    cell: options.Cells = None,
    max_cells: options.MaxCells = None,
    tls_ca: options.TlsCa = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    plugin: options.Plugins = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Run suites and end with the table.

    Exit status: 0 all cells ok, 1 some did not end ok, 2 the request is wrong or a backend is unavailable.
    """
    with errors():
        from rich.console import Console

        from rbench.report.display import display
        from rbench.run import Request, check
        from rbench.run import run as run_request

        tell_broken_plugins()
        request = Request(
            suites=tuple(suites or ("quick",)),
            backends=tuple(backend or ("numpy",)),
            tasks=tuple(task or ()),
            methods=tuple(method or ()),
            seeds=seeds,
            points=points,
            fixed=options.sources(fix),
            budget=options.budget(epochs, steps, seconds),
            evaluations=evaluations,
            batch_size=batch_size,
            dtypes=tuple(dtype or ()),
            devices=tuple(device or ()),
            threads=threads,
            jobs=jobs,
            unofficial_data=unofficial_data,
            tuned=None if tuned is None else str(tuned),
            exact=tuple(cell or ()),
            **({} if max_cells is None else {"max_cells": max_cells}),
        )
        limits: dict[str, Any] = {
            "timeout": options.limit(timeout), "memory_limit": options.size(memory_limit), "memory_pass": memory,
        }  # fmt: skip
        runs = options.executor(executor, scheduler, retries, options.tls(tls_ca, tls_cert, tls_key), jobs)
        if dry_run:
            cells = request.cells(here=runs.here)
            check(cells, here=runs.here)
            for line in request.left_out(cells):
                tell(f"rbench: {line}")
            _print_cells(cells, json)
            if not json:
                _tell_estimate(cells, output, force, jobs)
            return
        folder = output or new_folder("cell" if cell else "-".join(request.suites))
        way_on = f"the same command with -o {folder}, without --force, goes on where it stopped"
        with stoppable(way_on), runs, display(Console(stderr=True)) as shown:
            done = run_request(request, folder, shown, force=force, executor=runs, **limits)
        end(done, json=json)


def _print_cells(cells: "list[Cell]", as_json: bool) -> None:
    if as_json:
        show(json_text([cell.model_dump() for cell in cells]))
        return
    for cell in cells:
        show(visible(f"{cell.suite} {cell.title}"))
    show(f"cells: {len(cells)}")


def _tell_estimate(cells: "list[Cell]", output: "Path | None", force: bool, jobs: int) -> None:
    """Say how long the cells will take that are to run, where similar ones have run below `runs/` or in the output."""
    from pathlib import Path

    from rbench.run.estimate import estimate, records_below
    from rbench.run.record import FINAL, read_record

    kept = [read_record(output, cell) for cell in cells] if output is not None and not force else []
    done = {record.cell for record in kept if record is not None and record.status in FINAL}
    todo = [cell for cell in cells if cell not in done]
    if done:
        show(f"cells with records: {len(done)}; to run: {len(todo)}")
    found = estimate(todo, records_below([Path("runs"), *([output] if output is not None else [])]))
    if found.known:
        low, middle, high = (_in_words(seconds / jobs) for seconds in (found.low, found.middle, found.high))
        width = "" if found.alone == found.known else f", {low} to {high}"
        alone = f"; of {found.alone} one similar cell is known, which tells no width" if found.alone else ""
        show(f"time of {found.known} of {found.cells} cells: about {middle}{width}, by similar cells{alone}")


def _in_words(seconds: float) -> str:
    """Seconds, minutes or hours, with two digits."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {unit}" if seconds < 100 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.2g} s"
