"""The README is short, and its table is made from the published rows."""

import re

from helpers.documentation import ROOT, read
from rbench.report.blocks import blocks

README = read("README.md")
MOST_WORDS = 600


def test_it_has_at_most_600_words_one_table_of_figures_and_one_picture():
    assert len(README.split()) <= MOST_WORDS
    (block,) = blocks(ROOT / "README.md")  # `test_published.py` makes it again
    assert block.arguments[0] == "results/reference.csv"
    assert len(re.findall(r"!\[", README)) == 1


def test_it_begins_with_the_two_commands():
    assert README.index("pip install . && rbench run\n") < README.index("pip install tox && tox run-parallel\n")
