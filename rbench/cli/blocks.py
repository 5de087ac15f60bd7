"""Tables in files: filled by `rbench table --update`, made again and compared by `rbench table --check`."""

import contextlib
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import typer

from rbench.cli.flags import with_flags
from rbench.cli.program import OK, UsageError, app, errors, fail, show, tell

STALE = 1
"""Exit status where a checked table differs from what its command makes."""

OPTIONS = (
    "--format", "--columns", "--method", "-m", "--task", "-t", "--group", "--sort", "--caption", "--transpose",
    "--across", "--no-intervals", "--no-notes", "--ranking",
)  # fmt: skip
"""What a block's command may hold: it reads runs, and writes nothing."""


def fill_block(path: Path, name: str, directories: Sequence[Path], options: Sequence[str]) -> None:
    """Write a table into a block of a file, and its command into the block's first line."""
    folder = path.resolve().parent
    arguments = [*(os.path.relpath(directory.resolve(), folder) for directory in directories), *options]
    with errors():
        _fill(path, name, arguments)


def refill_blocks(path: Path) -> None:
    """Make all tables of a file again that have a command."""
    with errors():
        from rbench.report.blocks import blocks

        found = [block for block in blocks(path) if block.arguments is not None]
        if not found:
            fail(f"{path} has no table to make again; fill one first: DIR... --update {path} --marker NAME")
        for block in found:
            _fill(path, block.name, block.arguments or [])


def check_blocks(paths: Sequence[Path]) -> NoReturn:
    """Print what would change in the tables of files, and end with status 1 where anything would."""
    if not paths:
        fail("--check has nothing to check; name the files, such as README.md")
    with errors():
        from rbench.report.blocks import stale

        found = {path: stale(path, partial(_made, path)) for path in paths}
        for difference in filter(None, found.values()):
            show(difference)
        for path in (path for path, difference in found.items() if difference):
            tell(f"rbench: {path} has stale tables; make them again: rbench table --update {path}")
        raise typer.Exit(STALE if any(found.values()) else OK)


def _fill(path: Path, name: str, arguments: list[str]) -> None:
    from rbench.report.blocks import updated
    from rbench.run.record import write_text

    updated(path, name, arguments, "")  # refused before the table is made
    write_text(path, updated(path, name, arguments, _made(path, arguments)))


def _made(path: Path, arguments: list[str]) -> str:
    """What `rbench table` prints with arguments in the folder of a file."""
    for word in arguments:
        if word.startswith("-") and word.partition("=")[0] not in OPTIONS:
            fail(f"{path}: a table in a file cannot have {word}; it takes {', '.join(OPTIONS)}")
    printed = io.StringIO()
    try:
        with contextlib.chdir(path.resolve().parent), contextlib.redirect_stdout(printed):
            status = app(["table", *arguments], standalone_mode=False)
    except UsageError as error:
        fail(f"{path}: {with_flags(error.format_message())}")
    if status:
        fail(f"{path}: this table cannot be made: rbench table {' '.join(arguments)}")
    return printed.getvalue()
