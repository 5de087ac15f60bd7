"""The program that the commands belong to: its app, its exit statuses, and how it refuses and stops."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from rbench.errors import RbenchError

app = typer.Typer(
    help="Benchmarks for Riemannian and second-order optimisers, one mathematics on every array backend.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

OK, SOME_FAILED, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130


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


class errors:
    """Turns rbench's own errors, raised in the body of a command, into one message and exit status 2."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, RbenchError):
            fail(str(error))


def fail(message: str) -> NoReturn:
    """Print the message, and end with exit status 2."""
    typer.echo(f"rbench: {message}", err=True)
    raise typer.Exit(WRONG_REQUEST)


@contextmanager
def stoppable(way_on: str) -> Iterator[None]:
    """A block that Ctrl-C stops, and likewise a batch system that ends the job, so that the processes below end too.

    Args:
        way_on: how to go on, for the message before exit status 130.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"stopped; {way_on}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def main() -> None:
    """Entry point of the `rbench` command."""
    app()
