"""docs/records.md lists the fields of records and rows, with what the code declares of them: none more, none less."""

import re
from typing import get_args

import pytest

from helpers.documentation import read
from rbench.plugins import plugins
from rbench.run.record import FINAL, Record, Status

PAGE = read("docs/records.md")
SECTIONS = {"Rows of training": ("training",), "Rows of costs": ("step-time", "step-cost", "part-time")}
FIRST = ("suite", "task", "method", "seed", "backend", "device", "dtype", "threads", "status", "reason")
"""The fields that rows of the theory begin with."""


def rows(title, at=0):
    """The cells of a table after a heading, by default of the first one, without its head."""
    section = re.split(r"^## ", PAGE.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]
    table = re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE)[at].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def experiment(name):
    """The kind of cell with a name."""
    return plugins().find("experiments", name)


@pytest.mark.parametrize(("title", "name"), [(title, name) for title, names in SECTIONS.items() for name in names])
def test_rows_have_the_fields_that_are_declared(title, name):
    kind = experiment(name)
    figures = {figure.name: figure for figure in kind.figures}
    declared = []
    for field in kind.fields:
        figure = figures.get(field)
        declared.append([f"`{field}`", *((figure.better or "–", figure.compared) if figure else ("", ""))])
    assert [row[:3] for row in rows(title)] == declared
    assert all(len(row[3]) > 5 for row in rows(title))


def test_each_experiment_of_the_theory_has_its_fields():
    listed = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in rows("Rows of the theory")}
    others = set(plugins().registered("experiments")) - {name for names in SECTIONS.values() for name in names}
    assert set(listed) == others
    for name, own in listed.items():
        assert experiment(name).fields == (*FIRST, *own)


def test_a_record_has_the_fields_of_its_model():
    assert [row[0] for row in rows("A record")] == [f"`{name}`" for name in Record.model_fields]


def test_the_ends_of_a_cell_are_those_that_there_are():
    again = {end.strip("`"): again for end, _, again in rows("A record", 1)}
    assert again == {end: "no" if end in FINAL else "yes" for end in get_args(Status)}
