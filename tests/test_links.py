"""Links of the pages lead somewhere: to files of the project and to headings in them."""

import re
from urllib.parse import urlsplit

import pytest

from helpers.documentation import PAGES, ROOT, prose, read

LINKS = [
    (page, target)
    for page in [*PAGES, "CHANGELOG.md"]
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(page)))
]
INSIDE = [(page, target) for page, target in LINKS if "://" not in target]
OUTSIDE = [(page, target) for page, target in LINKS if "://" in target]


def anchors(page):
    """The headings of a page as a link names them: small letters, hyphens for spaces, no other signs."""
    titles = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("page", "target"), INSIDE)
def test_a_link_leads_to_a_file_and_a_heading(page, target):
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    assert file.resolve().is_file()
    assert file.resolve().is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(file.resolve().relative_to(ROOT).as_posix())


@pytest.mark.parametrize(("page", "target"), OUTSIDE)
def test_a_link_to_the_outside_is_written_well(page, target):
    parts = urlsplit(target)
    assert parts.scheme == "https"
    assert re.fullmatch(r"([a-z0-9-]+\.)+[a-z]+", parts.netloc)


def test_there_are_links_of_both_kinds():
    assert len(INSIDE) > 50
    assert OUTSIDE


def test_every_page_is_in_the_navigation():
    listed = re.findall(r"^ +- .*: (\S+\.md)$", read("mkdocs.yml"), flags=re.MULTILINE)
    assert sorted(listed) == sorted([*PAGES, "CHANGELOG.md"])


def test_every_picture_is_on_a_page():
    shown = {target.rpartition("/")[2] for _, target in INSIDE}
    assert {path.name for path in (ROOT / "results").glob("*.png")} <= shown
