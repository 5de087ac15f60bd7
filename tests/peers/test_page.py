"""The commands of the peers' page, which need the peers."""

import re
import shlex

import pytest

from helpers import documentation
from helpers.command import call

for package in ("torch", "curvlinops", "singd", "jax", "kfac_jax"):
    pytest.importorskip(package)

RUNS = [
    words
    for block in documentation.blocks("docs/peers.md")
    for words in documentation.commands(block.text)
    if words[:2] == ["rbench", "run"]
]


@pytest.mark.parametrize("words", RUNS, ids=shlex.join)
def test_the_cells_of_a_command_are_made_and_checked(words):
    done = call(*words[1:], "--dry-run")
    assert done.exit_code == 0, done.output
    assert re.search(r"^cells: [1-9]", done.output, flags=re.MULTILINE)
