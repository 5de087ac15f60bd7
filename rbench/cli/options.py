"""Options that several commands share, and how their text is read."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli.program import errors, fail

if TYPE_CHECKING:
    from rbench.run import Budget
    from rbench.run.executor import Executor
    from rbench.train.cell import Source


def named_path(text: str) -> Path:
    """A path; empty text, which would mean the current folder, is refused."""
    if not text.strip():
        raise typer.BadParameter("is empty; name a file or a directory, such as . for the current one")
    return Path(text)


def load_plugins(files: list[Path] | None) -> list[Path] | None:
    """Load plugins that are files, here and in the processes that this one starts."""
    if files:
        with errors():
            from rbench import plugin_files
            from rbench.plugins import plugins

            plugin_files.add(files)
            plugins()
    return files


class ExecutorName(StrEnum):
    """Where cells run."""

    local = "local"
    dask = "dask"


Backends = Annotated[
    list[str] | None,
    typer.Option("--backend", "-b", metavar="SPEC", help="Backend, such as torch[compile=true]; default numpy."),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method", "-m", metavar="SPEC", help="Method, such as sgd[lr=[0.1,0.3]]; a bare name: as the suite has it."
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task", "-t", metavar="SPEC", help="Task, such as mnist[hidden=[256,128]]; of step-time, a network."
    ),
]
Seeds = Annotated[int | None, typer.Option(metavar="N", help="Number of seeds, from 0 on.", min=1)]
Points = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Settings per method and task of a study of sensitivity; powers of two cover best.", min=1
    ),
]
Fix = Annotated[
    list[str] | None,
    typer.Option(
        "--fix",
        metavar="NAME",
        help="Keep weights, order (of batches, and augmentation) or samples (of the metric) as at seed 0.",
    ),
]
Steps = Annotated[int | None, typer.Option(metavar="N", help="Budget in updates.", min=1)]
Epochs = Annotated[int | None, typer.Option(metavar="N", help="Budget in passes over the training set.", min=1)]
Seconds = Annotated[float | None, typer.Option(metavar="S", help="Budget in seconds of training.", min=0)]
Evaluations = Annotated[
    int | None,
    typer.Option(metavar="N", help="Evaluate N times, evenly; default: start, ends of epochs, 10 at least.", min=1),
]
BatchSize = Annotated[int | None, typer.Option(metavar="N", help="Data in a batch.", min=1)]
Dtypes = Annotated[list[str] | None, typer.Option(metavar="NAME", help="float32 (default) or float64.")]
Devices = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Device; default the backend's own.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", parser=named_path, help="Run into DIR; resumes what is there."),
]
Force = Annotated[bool, typer.Option("--force", help="Run cells again that have records.")]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", metavar="N", help="Cells at once; they disturb each other's times.", min=1)
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", help="Threads of a cell; default the suite's, or all cores over jobs.", min=1),
]
UnofficialData = Annotated[
    bool, typer.Option("--unofficial-data", help="Take a copy of a data set that is not the published one.")
]
Timeout = Annotated[str | None, typer.Option(metavar="10m", help="Longest time of a cell: 90s, 10m, 1h.")]
MemoryLimit = Annotated[
    str | None,
    typer.Option(metavar="8G", help="Most memory that a cell may hold resident: 500M, 8G; beyond it, it is ended."),
]
MemoryPass = Annotated[
    bool, typer.Option("--memory/--no-memory", help="Whether a process of its own measures each cell's peak memory.")
]
TunedFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", parser=named_path, help="Take settings from the tuned.json of `rbench tune`, where it has them."
    ),
]
Where = Annotated[
    ExecutorName, typer.Option(help="Where cells run: on this machine, or on the workers of a Dask scheduler.")
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="tcp://HOST:PORT", help="Address of the scheduler, for --executor dask.")
]
Retries = Annotated[
    int | None,
    typer.Option(metavar="N", help="How often a cell whose Dask worker is lost is run again; default 2.", min=0),
]
Cells = Annotated[
    list[str] | None,
    typer.Option("--cell", metavar="JSON", help="Run exactly this cell, as a report gives it, instead of suites."),
]
MaxCells = Annotated[int | None, typer.Option(metavar="N", help="Most cells that may be made; default 10000.", min=1)]
TlsCa = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificate of the authority of a tls:// scheduler; else Dask's configuration."),
]
TlsCert = Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate to show to a tls:// scheduler.")]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, where the certificate's file has none.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        parser=named_path,
        callback=load_plugins,
        help="Use what this file registers; RBENCH_PLUGINS names such files for every command.",
    ),
]
"""Loaded as the command line is read; a command need not look at it."""
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="List what would run and stop.")]
Json = Annotated[bool, typer.Option("--json", help="Print the rows as JSON instead of the table.")]

UNITS = {"s": 1, "m": 60, "h": 3600}
SHORTEST = 1e-6
SIZES = {"K": 2**10, "M": 2**20, "G": 2**30}


def sources(fix: list[str] | None) -> "tuple[Source, ...]":
    """The random sources with the given names, in order."""
    from rbench.names import did_you_mean, shown
    from rbench.train.cell import SOURCES

    if missing := sorted(set(fix or ()) - set(SOURCES)):
        near = did_you_mean(missing[0], SOURCES)
        fail(f"--fix {shown(missing[0])}: no random source is called that{near}; choose among {', '.join(SOURCES)}")
    return tuple(source for source in SOURCES if source in (fix or ()))


def budget(epochs: int | None, steps: int | None, seconds: float | None) -> "Budget | None":
    """The given budget, if any."""
    from rbench.run import Budget

    given = [value for value in (epochs, steps, seconds) if value is not None]
    if not given:
        return None
    if len(given) > 1:
        fail("give one budget: --epochs, --steps or --seconds")
    if seconds is not None and not SHORTEST <= seconds < float("inf"):
        fail(f"--seconds {seconds:g} is no budget; give a time of at least {SHORTEST:g} s, which the clock can tell")
    return Budget(epochs=epochs, steps=steps, seconds=seconds)


def limit(timeout: str | None) -> float | None:
    """Seconds of `90s`, `10m`, `1h` or a plain number."""
    if timeout is None:
        return None
    value = _in_units(timeout if timeout[-1:] in UNITS else f"{timeout}s", UNITS)
    if not 0 < value < float("inf"):
        fail(f"--timeout {timeout!r} is no time; write 90s, 10m or 1h")
    return value


def size(memory_limit: str | None) -> int | None:
    """Bytes of `500M` or `8G`: K, M and G are powers of 1,024."""
    if memory_limit is None:
        return None
    value = _in_units(memory_limit.upper(), SIZES)
    if not 1 <= value < float("inf"):
        fail(f"--memory-limit {memory_limit!r} is no size; write 500M or 8G: a number and K, M or G")
    return int(value)


def _in_units(text: str, units: dict[str, int]) -> float:
    """A number before a unit of one letter, times that unit; 0 where the text is none."""
    try:
        return float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        return 0.0


def tls(ca: Path | None, cert: Path | None, key: Path | None) -> dict[str, Path | None]:
    """The options of TLS by name."""
    return {"--tls-ca": ca, "--tls-cert": cert, "--tls-key": key}


def executor(
    name: ExecutorName, scheduler: str | None, retries: int | None, tls: dict[str, Path | None], jobs: int
) -> "Executor":
    """The executor that runs cells."""
    if name is ExecutorName.local:
        from rbench.run.local import LocalExecutor

        for option, value in (("--scheduler", scheduler), ("--retries", retries), *tls.items()):
            if value is not None:
                fail(f"{option} {value} is for cells on other machines; add --executor dask, or leave it out")
        return LocalExecutor(jobs)
    if scheduler is None:
        fail("--executor dask needs the address of a scheduler; start one with `dask scheduler`, and give --scheduler")
    if jobs > 1:
        fail(f"--jobs {jobs} is for this machine; --executor dask runs one cell on each worker: start more workers")
    ca, cert, key = tls.values()
    if (ca is None) != (cert is None) or (key is not None and cert is None):
        missing = " and ".join(option for option in ("--tls-ca", "--tls-cert") if tls[option] is None)
        fail(f"TLS needs {missing}, too: the authority's certificate, and one that it has signed")
    from rbench.run.cluster import Certificates, ClusterExecutor

    certificates = None if ca is None or cert is None else Certificates(ca, cert, key)
    return ClusterExecutor(scheduler, retries=2 if retries is None else retries, certificates=certificates)
