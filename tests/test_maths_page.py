"""docs/maths.md names files, classes and functions that exist, and every statement of the paper that is implemented."""

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "maths.md").read_text()
NAMED = [
    (path, name)
    for path, names in re.findall(r"`([\w/]+\.py)`: (`[\w.]+`(?:, `[\w.]+`)*)", PAGE)
    for name in re.findall(r"`([\w.]+)`", names)
]


def test_the_page_maps_every_file_that_it_names():
    assert {path for path, _ in NAMED} == set(re.findall(r"`([\w/]+\.py)`", PAGE))
    assert len(NAMED) > 15


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_what_it_names_is_there(path, name):
    module = importlib.import_module("rbench." + path.removesuffix(".py").replace("/", "."))
    found = reduce(getattr, name.split("."), module)
    assert name.split(".")[0] in vars(module)
    assert found is not None


STATEMENTS = [*(f"Definition {n}" for n in range(1, 5)), *(f"Remark {n}" for n in (4,)), "Example 1", "Example 2"]


@pytest.mark.parametrize("statement", [*STATEMENTS, "Lemma 1", "eq. 2", "eq. 3", "Algorithm 1"])
def test_the_code_names_the_statement_where_the_page_says(statement):
    kind, number = statement.split()
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and statement in line.split("|")[1]]
    root = Path(importlib.import_module("rbench").__file__).parent
    texts = [(root / path).read_text() for path in re.findall(r"`([\w/]+\.py)`", row)]
    words = {"Definition": "Def.", "Example": "Ex.", "eq.": r"eqs?\."}.get(kind, kind)
    assert any(re.search(rf"{words} (\d-)?{number}", text) for text in texts)
