"""`rbench data list`, `rbench data fetch` and `rbench data check`."""

from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli.program import OK, SOME_FAILED, Program, app, errors, show
from rbench.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rbench.tasks.files import FileStatus

data_app = Program(help="Data sets: what is here, fetch, check.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Name = Annotated[str, typer.Argument(help="Data set, such as mnist.")]


@data_app.command("list")
def data_list() -> None:
    """List the data sets and where their files are."""
    with errors():
        from rbench.tasks.datasets import DATASETS
        from rbench.tasks.files import status

        for name, files in DATASETS.items():
            _print_files(name, status(files))


@data_app.command("fetch")
def data_fetch(name: Name) -> None:
    """Fetch the files of a data set that are not here, from the public address, and check them."""
    with errors():
        from rbench.tasks.datasets import find
        from rbench.tasks.files import fetch

        _print_files(name, fetch(find(name)))


@data_app.command("check")
def data_check(name: Name) -> None:
    """Compare the files of a data set with the published sums; exit status 1 where one is absent or differs."""
    with errors():
        from rbench.tasks.datasets import find
        from rbench.tasks.files import status

        files = status(find(name))
        _print_files(name, files)
        raise typer.Exit(OK if all(file.official for file in files) else SOME_FAILED)


def _print_files(name: str, files: "Iterable[FileStatus]") -> None:
    for file in files:
        words = "official" if file.official else file.problem
        show(visible(f"{name}  {file.file}  {words}" + (f"  {file.path}" if file.official else "")))
