"""`rbench new`."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rbench.cli.options import named_path
from rbench.cli.program import app, errors, fail, show, tell


class Kind(StrEnum):
    """What a new plugin may bring: each is a file of `rbench/templates`."""

    method = "method"
    task = "task"
    suite = "suite"
    backend = "backend"
    metric = "metric"
    loss = "loss"
    experiment = "experiment"


COMMANDS = {
    Kind.method: "rbench run --plugin {file} -t digits -m {name} -m sgd",
    Kind.task: "rbench run --plugin {file} -t {name} -m adam -m sgd",
    Kind.suite: "rbench run {name} --plugin {file}",
    Kind.backend: "rbench run --plugin {file} -b {name} -t digits -m kfac",
    Kind.metric: "rbench run --plugin {file} -t digits -m 'riemannian[output_metric={name}]'",
    Kind.loss: "rbench verify --plugin {file} -b numpy",
    Kind.experiment: "rbench run {name} --plugin {file}",
}
"""What runs a new plugin."""

REGISTERED = {Kind.metric: "output_metrics", Kind.loss: "losses"}
"""What the hook of a kind is for, where that is not the kind with an s."""


@app.command()
def new(
    kind: Annotated[Kind, typer.Argument(help="What the plugin brings.", show_choices=True)],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called, such as my-method.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", parser=named_path, help="The file; default NAME.py here."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
) -> None:
    """Write a plugin that runs as it is, a Python file to change, and print the command that runs it."""
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name, re.ASCII):
        fail(f"{name!r} cannot be a name here; take letters, digits, - and _, such as my-{kind.value}")
    with errors():
        import shlex

        from rbench.plugin_files import check_name
        from rbench.plugins import plugins

        registered = REGISTERED.get(kind, f"{kind.value}s")
        if name in plugins().registered(registered):
            fail(f"a {kind.value} is called {name} already; choose another name")
        file = output or Path(f"{name.replace('-', '_').lower()}.py")
        check_name(file)
        if file.exists() and not force:
            fail(f"{file} is there; name another file with -o, or replace it with --force")
        template = Path(__file__).parents[1] / "templates" / f"{kind.value}.py"
        try:
            file.write_text(template.read_text(encoding="utf-8").replace(f"my-{kind.value}", name), encoding="utf-8")
        except OSError as error:
            fail(f"cannot write {file}: {error.strerror}; name another file with -o")
    tell(f"file: {file}; it runs as it is:")
    show(COMMANDS[kind].format(name=name, file=shlex.quote(str(file))))
