"""The program around the commands: its app, exit statuses, refusals and interrupts."""

import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from rbench.cli.flags import with_flags
from rbench.errors import RbenchError
from rbench.names import shown
from rbench.text import visible

UsageError: Any = typer.BadParameter.__mro__[1]
"""The base of Typer's errors, which Typer does not export: click's, or that of its own copy of click."""


class Command(TyperCommand):
    """A command that refuses to be given a single-valued option twice: the last would silently win."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does, after that check; errors name the refused value."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        given = Counter(one for one in order if one.param_type_name == "option")
        for option, times in given.items():
            if times > 1 and not option.multiple and not getattr(option, "is_flag", False):
                fail(f"{max(option.opts, key=len)} is given {times} times; give it once: it takes one value")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            value = None if error.param is None else values.get(error.param.name)
            words = error.message.removeprefix("Value error, ")
            error.message = words if value is None or repr(value) in words else f"{shown(value)}: {words}"
            raise


class Root(TyperGroup):
    """The program as a command: `tell` prints its refusals, like every other message."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run, and end the process, as Typer does."""
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        options["standalone_mode"] = False
        try:
            sys.exit(super().main(*args, **options) or OK)
        except UsageError as error:
            words = io.StringIO()
            error.show(words)
            tell(words.getvalue().rstrip())
            sys.exit(WRONG_REQUEST)


class Program(typer.Typer):
    """Commands, each a `Command`."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Register a command as Typer does."""
        return super().command(name, **{"cls": Command, **options})


app = Program(
    cls=Root,
    help="Benchmarks for Riemannian and second-order optimisers, one mathematics on every array backend.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end a run like Ctrl-C; a closing terminal sends the second, which Windows lacks."""

AGAIN_SECONDS = 5.0
"""Seconds after a signal in which another one counts as the same."""

OK, SOME_FAILED, WRONG_REQUEST, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141


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
            fail(with_flags(str(error)))


def show(text: str) -> None:
    """Print a command's result, which is already safe to show, to standard output.

    A reader that closes the pipe, like `head`, ends the command silently; a full disk ends it with a message.
    """
    try:
        typer.echo(text)
    except BrokenPipeError:
        _give_up()
        raise typer.Exit(PIPE_CLOSED) from None
    except OSError as error:
        _give_up()
        fail(_unwritten(error))


def tell(message: str) -> None:
    """Print a message of one or more lines to standard error; nothing happens where that is closed."""
    try:
        typer.echo(visible(message, lines=True), err=True)
    except OSError:
        _give_up()


def fail(message: str) -> NoReturn:
    """Print the message, and end with exit status 2."""
    tell(f"rbench: {message}")
    raise typer.Exit(WRONG_REQUEST)


def _unwritten(error: OSError) -> str:
    return f"cannot write the output: {error.strerror}; make room, or send it elsewhere"


def _give_up() -> None:
    """Drop unwritten output, so that Python does not try to write it again when it ends."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


@contextmanager
def stoppable(way_on: str) -> Iterator[None]:
    """A block that Ctrl-C or the end of a batch job or terminal stops together with its child processes.

    A hang-up that is ignored, as under `nohup`, stays so.

    Args:
        way_on: how to go on, for the message before exit status 130.
    """
    signals = [one for one in ENDINGS if signal.getsignal(one) is not signal.SIG_IGN]
    ended: float | None = None

    def end(*_: object) -> None:
        nonlocal ended
        # A closing shell may send it again, while child processes are being ended.
        if ended is None or monotonic() - ended >= AGAIN_SECONDS:
            ended = monotonic()
            raise KeyboardInterrupt

    before = {one: signal.signal(one, end) for one in signals}
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        if isinstance(error, OSError) and ended is None:
            raise
        tell(f"stopped; {way_on}")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for one, handler in before.items() if ended is None else ():
            signal.signal(one, handler)


def main() -> None:
    """Entry point of the `rbench` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # escapes what its encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except OSError as error:  # from help or a run's display; commands handle errors of files that they name
        _give_up()
        tell(f"rbench: {error}" if error.filename else f"rbench: {_unwritten(error)}")
        sys.exit(WRONG_REQUEST)
