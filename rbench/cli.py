"""The command line. Heavy imports wait until a command runs, so that `rbench --help` answers at once."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rbench.errors import RbenchError

if TYPE_CHECKING:
    from rbench.cost import CostRequest, Plan

app = typer.Typer(
    help="Benchmarks for Riemannian and second-order optimisers, one mathematics on every array backend.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Data sets: what is here, fetch, check.", no_args_is_help=True)
app.add_typer(data_app, name="data")

OK, SOME_FAILED, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130
UNITS = {"s": 1, "m": 60, "h": 3600}


class Kind(StrEnum):
    """What `rbench list` lists."""

    backends = "backends"
    methods = "methods"
    tasks = "tasks"
    suites = "suites"


class TableFormat(StrEnum):
    """Forms of the table."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"
    json = "json"


def _version(value: bool) -> None:
    if value:
        import rbench

        typer.echo(rbench.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command()
def run(
    suites: Annotated[list[str] | None, typer.Argument(metavar="SUITE", help="Suites to run; default quick.")] = None,
    backend: Annotated[
        list[str] | None, typer.Option("--backend", "-b", metavar="NAME", help="Backend; default numpy.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="SPEC",
            help="Method, such as sgd[lr=[0.1,0.3]]; a bare name: as the suite has it.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task", "-t", metavar="SPEC", help="Task, such as mnist[hidden=[256,128]]; of step-time, a network."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Number of seeds, from 0 on.", min=1)] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Budget in updates.", min=1)] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Budget in passes over the training set.", min=1)
    ] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="Budget in seconds of training.", min=0)] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Data in a batch.", min=1)] = None,
    dtype: Annotated[list[str] | None, typer.Option(metavar="NAME", help="float32 (default) or float64.")] = None,
    device: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Device; default the backend's own.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Run into DIR; resumes what is there.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run cells again that are there.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="Cells at once; they disturb each other's times.", min=1)
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads of a cell; default the suite's, or all cores over jobs.", min=1),
    ] = None,
    unofficial_data: Annotated[
        bool, typer.Option("--unofficial-data", help="Take a copy of a data set that is not the published one.")
    ] = False,
    timeout: Annotated[str | None, typer.Option(metavar="10m", help="Longest time of a cell: 90s, 10m, 1h.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="List the cells and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON instead of the table.")] = False,
) -> None:
    """Run suites and end with the table.

    Exit status: 0 all cells ok, 1 some did not end ok, 2 the request is wrong or a backend is unavailable.
    """
    with _errors():
        from datetime import datetime

        from rich.console import Console

        from rbench.cost import CostRequest
        from rbench.plugins import plugins
        from rbench.report import footnotes, is_cost, render
        from rbench.report.display import display, print_table
        from rbench.run import Budget, CostSuite, Request, check
        from rbench.run import run as run_request

        kinds = {isinstance(plugins().find("suites", name), CostSuite) for name in suites or ("quick",)}
        if True in kinds:
            given = {
                "--seeds": seeds, "--steps": steps, "--epochs": epochs, "--seconds": seconds, "--timeout": timeout,
                "--jobs": jobs > 1, "--unofficial-data": unofficial_data,
            }  # fmt: skip
            if len(suites or ()) > 1:
                _fail(f"{', '.join(suites or ())}: a suite that measures costs runs alone; give one command for each")
            if refused := [option for option, value in given.items() if value]:
                _fail(
                    f"suite {(suites or [''])[0]!r} measures costs and trains nothing: leave out {', '.join(refused)}"
                )
            asked = CostRequest(
                suite=(suites or [""])[0],
                backends=tuple(backend or ("numpy",)),
                networks=tuple(task or ()),
                methods=tuple(method or ()),
                batch_size=batch_size,
                dtypes=tuple(dtype or ("float32",)),
                devices=tuple(device or ()),
                threads=threads,
            )
            _measure(asked, output, force=force, dry_run=dry_run, json=json)
            return
        budget = None
        if steps is not None or epochs is not None or seconds is not None:
            if sum(value is not None for value in (epochs, steps, seconds)) > 1:
                _fail("give one budget: --epochs, --steps or --seconds")
            if seconds is not None and not 0 < seconds < float("inf"):
                _fail(f"--seconds {seconds:g} is no budget; give a time above 0")
            budget = Budget(epochs=epochs, steps=steps, seconds=seconds)
        request = Request(
            suites=tuple(suites or ("quick",)),
            backends=tuple(backend or ("numpy",)),
            tasks=tuple(task or ()),
            methods=tuple(method or ()),
            seeds=seeds,
            budget=budget,
            batch_size=batch_size,
            dtypes=tuple(dtype or ("float32",)),
            devices=tuple(device or ()),
            threads=threads,
            jobs=jobs,
            unofficial_data=unofficial_data,
        )
        limit = _seconds(timeout)
        for failure in plugins().failures:
            typer.echo(f"rbench: plugin {failure.name!r} failed to load: {failure.error}", err=True)
        if dry_run:
            cells = request.cells()
            check(cells)
            _print_cells(cells, json)
            return
        folder = output or Path("runs") / f"{'-'.join(request.suites)}-{datetime.now():%Y%m%d-%H%M%S}"
        if is_cost(folder):
            _fail(f"{folder} holds a run that measures costs; name another directory with -o")
        _stop_on_sigterm()
        try:
            with display(Console(stderr=True)) as shown:
                done = run_request(request, folder, shown, timeout=limit, force=force)
        except KeyboardInterrupt:
            typer.echo(
                f"stopped; the same command with -o {folder}, without --force, goes on where it stopped", err=True
            )
            raise typer.Exit(INTERRUPTED) from None
        console = Console()
        if json:
            typer.echo(render(done.records, "json"))
        elif console.is_terminal:
            print_table(console, done.records)
        else:
            typer.echo(render(done.records, "markdown") + "\n\n" + "\n".join(footnotes(done.records)))
        typer.echo(f"records: {folder}", err=True)
        raise typer.Exit(OK if done.ok else SOME_FAILED)


def _measure(request: "CostRequest", output: Path | None, *, force: bool, dry_run: bool, json: bool) -> None:
    """Measure costs, and end with the table."""
    from datetime import datetime

    from rbench.cost import measure
    from rbench.report import cost_footnotes, cost_rows, render_costs

    if dry_run:
        _print_plans(request.plans(), json)
        return
    folder = output or Path("runs") / f"{request.suite}-{datetime.now():%Y%m%d-%H%M%S}"
    _stop_on_sigterm()
    try:
        ok = measure(request, folder, lambda text: typer.echo(text, err=True), force=force)
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command with -o {folder} keeps the backends that were done", err=True)
        raise typer.Exit(INTERRUPTED) from None
    shown = render_costs(cost_rows([folder]), "json" if json else "markdown")
    typer.echo(shown if json else shown + "\n\n" + "\n".join(cost_footnotes([folder])))
    typer.echo(f"results: {folder}", err=True)
    raise typer.Exit(OK if ok else SOME_FAILED)


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; all if left out.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what is registered, the settings it takes, and plugins that failed to load."""
    with _errors():
        from rbench.report.catalogue import catalogue, describe

        found = catalogue([kind.value] if kind else [k.value for k in Kind])
        typer.echo(describe(found, as_json=json))


@app.command()
def verify(
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", "-b", metavar="NAME", help="Backend; default all that can run here."),
    ] = None,
    dtype: Annotated[list[str] | None, typer.Option(metavar="NAME", help="float32 or float64; default both.")] = None,
    device: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Device; default the backend's own.")] = None,
    short: Annotated[bool, typer.Option("--short", help="Only the cases that `rbench run` begins with.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print every case as JSON.")] = False,
) -> None:
    """Compare backends with a dense float64 oracle, and print the largest relative error of every check.

    Exit status: 0 all within tolerance, 1 some are not, 2 the request is wrong or a backend is unavailable.
    """
    with _errors():
        from rich.console import Console

        from rbench.plugins import available, find_backend, get_backend
        from rbench.report.display import progress_bar
        from rbench.report.equivalence import equivalence_json, equivalence_notes, equivalence_table
        from rbench.testing import cases, short_cases
        from rbench.testing import verify as verify_backend

        names = backend or [name.partition(" ")[0] for name in available()]
        places = [(n, t, d) for n in names for t in dtype or find_backend(n).dtypes for d in device or (None,)]
        for place in places:
            find_backend(*place)
        chosen, results = short_cases() if short else cases(), []
        with progress_bar(Console(stderr=True), len(places) * len(chosen)) as bar:
            for name, kind, where in places:
                bar.describe(f"{name} {kind}")
                found = get_backend(name, dtype=kind, device=where)
                results += verify_backend(found, chosen, lambda done, total: bar.advance())
        typer.echo(
            equivalence_json(results)
            if json
            else equivalence_table(results) + "\n\n" + "\n".join(equivalence_notes(results))
        )
        raise typer.Exit(OK if all(result.passed for result in results) else SOME_FAILED)


@app.command()
def table(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Directories of runs.")],
    format: Annotated[TableFormat, typer.Option("--format", help="Form of the table.")] = TableFormat.markdown,
    curves: Annotated[bool, typer.Option("--history", help="Print every evaluation instead, as CSV.")] = False,
) -> None:
    """Print the comparison table of one or more runs; csv and json hold the raw rows, one a cell."""
    with _errors():
        import json

        from rbench.report import (
            cost_footnotes,
            cost_rows,
            footnotes,
            history,
            is_cost,
            render,
            render_costs,
        )
        from rbench.report.load import load

        costs = [directory for directory in directories if is_cost(directory)]
        records, warnings = load([directory for directory in directories if directory not in costs])
        for warning in warnings:
            typer.echo(f"rbench: {warning}", err=True)
        if curves:
            if costs:
                _fail(f"{costs[0]} holds a run that measures costs, which has no history")
            typer.echo(history(records).to_csv(index=False).rstrip())
            return
        notes = format is TableFormat.markdown
        parts = []
        if records or not costs:
            parts.append(render(records, format.value))
            parts += ["\n".join(footnotes(records))] * notes
        if costs:
            parts.append(render_costs(cost_rows(costs), format.value))
            parts += ["\n".join(cost_footnotes(costs))] * notes
        if format is TableFormat.json:
            parts = [json.dumps([row for part in parts for row in json.loads(part)], indent=1)]
        typer.echo("\n\n".join(parts))


@data_app.command("list")
def data_list() -> None:
    """List the data sets and where their files are."""
    with _errors():
        from rbench.tasks.datasets import DATASETS, status

        for name in DATASETS:
            _print_files(name, status(name))


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="Data set, such as mnist.")]) -> None:
    """Fetch the files of a data set that are not here, from the public address, and check them."""
    with _errors():
        from rbench.tasks.datasets import fetch

        _print_files(name, fetch(name))


@data_app.command("check")
def data_check(name: Annotated[str, typer.Argument(help="Data set, such as mnist.")]) -> None:
    """Compare the files of a data set with the published sums; exit status 1 where one is absent or differs."""
    with _errors():
        from rbench.tasks.datasets import status

        files = status(name)
        _print_files(name, files)
        raise typer.Exit(OK if all(file.official for file in files) else SOME_FAILED)


@app.command("sys-info")
def sys_info() -> None:
    """Print software and hardware as JSON, as every record holds them."""
    with _errors():
        import json

        from rbench.run.provenance import provenance

        typer.echo(json.dumps(provenance(), indent=1))


class _errors:
    """Turns rbench's own errors into one message and exit status 2."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, RbenchError):
            _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"rbench: {message}", err=True)
    raise typer.Exit(WRONG_REQUEST)


def _seconds(text: str | None) -> float | None:
    """Seconds of `90s`, `10m`, `1h` or a plain number."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        value = float(number) * UNITS[unit]
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        _fail(f"--timeout {text!r} is no time; write 90s, 10m or 1h")
    return value


def _print_cells(cells: list, as_json: bool) -> None:  # type: ignore[type-arg]
    if as_json:
        import json

        typer.echo(json.dumps([cell.model_dump() for cell in cells], indent=1))
        return
    for cell in cells:
        typer.echo(f"{cell.suite} {cell.task} {cell.method} {cell.backend} {cell.dtype} seed {cell.seed}")
    typer.echo(f"cells: {len(cells)}")


def _print_plans(plans: "list[Plan]", as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps([plan.model_dump() for plan in plans], indent=1))
        return
    for plan in plans:
        for case in plan.cases:
            typer.echo(f"{plan.suite} {case} {plan.backend} {plan.dtype}")
    typer.echo(f"cases: {sum(len(plan.cases) for plan in plans)}")


def _stop_on_sigterm() -> None:
    """Stop as for Ctrl-C when a batch system ends the job, so that the processes below end too."""
    import signal

    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _print_files(name: str, files: list) -> None:  # type: ignore[type-arg]
    for file in files:
        words = "official" if file.official else file.problem
        typer.echo(f"{name}  {file.file}  {words}" + (f"  {file.path}" if file.official else ""))


def main() -> None:
    """Entry point of the `rbench` command."""
    app()


if __name__ == "__main__":
    main()
