"""The command line's words for parameters: every option is one that a command has, and nothing else is replaced."""

import re

import pytest
import typer

from rbench.cli import app
from rbench.cli.flags import FLAGS, with_flags


def options():
    """The options of all commands."""
    commands = typer.main.get_command(app).commands.values()
    return {name for command in commands for parameter in command.params for name in parameter.opts}


@pytest.mark.parametrize("name", FLAGS)
def test_what_stands_for_a_parameter_is_an_option(name):
    found = re.findall(r"(?<!\S)--?[a-z-]+", FLAGS[name])
    assert found
    assert set(found) <= options()


def test_only_parameters_in_backquotes_are_replaced():
    assert with_flags("give `threads`, or another `directory`") == "give --threads, or another directory with -o"
    assert with_flags("start `dask scheduler`; `unheard_of` and threads stay") == (
        "start `dask scheduler`; `unheard_of` and threads stay"
    )
