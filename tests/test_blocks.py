"""Tables in files: a marked block is filled, made again from its own first line, and checked."""

import pytest

from helpers.command import call
from helpers.faults import write_run
from helpers.tables import METHODS, RECORDS, record

EMPTY = "# Page\n\n<!-- rbench table small -->\n<!-- /rbench table small -->\n\nthe end\n"


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", RECORDS)
    (tmp_path / "docs").mkdir()
    path = tmp_path / "docs" / "page.md"
    path.write_text(EMPTY)
    done = call("table", "run", "--columns", "test_accuracy", "-m", "kfac", "--update", path, "--marker", "small")
    assert (done.exit_code, done.output) == (0, "")
    return path


def test_a_block_holds_its_command_and_what_that_prints(page):
    lines = page.read_text().splitlines()
    assert lines[2] == "<!-- rbench table small: ../run --columns test_accuracy --method kfac -->"
    assert lines[-3:] == ["<!-- /rbench table small -->", "", "the end"]
    printed = call("table", "run", "--columns", "test_accuracy", "-m", "kfac").stdout
    assert "\n".join(lines[4:-4]) == printed.strip()


def test_a_check_passes_until_text_or_records_change_and_updating_mends_it(page, monkeypatch, tmp_path):
    monkeypatch.chdir("/")
    assert (call("table", "--check", page).exit_code, call("table", "--check", page).output) == (0, "")
    page.write_text(page.read_text().replace("| kfac", "| KFAC", 1))
    done = call("table", "--check", page)
    assert done.exit_code == 1
    assert "-| KFAC" in done.stdout
    assert f"{page} has stale tables; make them again: rbench table --update {page}" in done.stderr
    assert call("table", "--update", page).exit_code == 0
    assert call("table", "--check", page).exit_code == 0
    write_run(tmp_path / "run", [record(list(METHODS)[1], test_accuracy=0.1)])
    assert call("table", "--check", page).exit_code == 1


def test_other_blocks_and_text_stay(page):
    page.write_text(page.read_text() + EMPTY.replace("small", "other"))
    done = call("table", "run", "-m", "sgd", "--update", page, "--marker", "other")
    assert done.exit_code == 0
    text = page.read_text()
    assert text.count("<!-- rbench table") == 2
    assert text.count("the end") == 2
    assert call("table", "--check", page).exit_code == 0


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (
            EMPTY,
            ("run", "--update", "p.md", "--marker", "smal"),
            "no block called 'smal' (did you mean 'small'?); write",
        ),
        (EMPTY, ("run", "--update", "p.md"), "--update FILE and --marker NAME go together"),
        (EMPTY, ("--update", "p.md"), "p.md has no table to make again"),
        (EMPTY, ("--check", "p.md"), "p.md has no block to check"),
        (EMPTY, ("--check", "gone.md"), "gone.md cannot be read"),
        (EMPTY, ("--check",), "--check has nothing to check"),
        (EMPTY, (), "name the directories of runs"),
        (EMPTY + EMPTY, ("--check", "p.md"), "two blocks are called small"),
        ("<!-- rbench table a: run -->\n", ("--check", "p.md"), "block a has no end"),
        (EMPTY.replace("small -->", "small: run --update x -->", 1), ("--check", "p.md"), "cannot have --update"),
        (EMPTY.replace("small -->", "small: nowhere -->", 1), ("--check", "p.md"), "this table cannot be made"),
        (EMPTY.replace("small -->", "small: 'run -->", 1), ("--check", "p.md"), "its arguments cannot be read"),
        (EMPTY, ("run", "--update", "p.md", "--marker", "small", "--caption", "a --> b"), "ends at -->"),
        (EMPTY, ("run", "--update", "p.md", "--marker", "small", "--history"), "--update takes the comparison"),
    ],
)
def test_what_cannot_be_done_is_one_message_and_changes_nothing(content, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", RECORDS)
    (tmp_path / "p.md").write_text(content)
    done = call("table", *words)
    assert (done.exit_code, type(done.exception)) == (2, SystemExit)
    assert message in " ".join(done.stderr.split())
    assert (tmp_path / "p.md").read_text() == content
