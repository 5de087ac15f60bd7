"""Published results: each page has its commands, and every table within a page is what its rows make."""

import importlib.util
import re
import tomllib

import pytest

from helpers.command import call
from helpers.command_rules import is_a_script, parsed
from helpers.documentation import PAGES, ROOT, read
from rbench.report.blocks import blocks

LISTED = re.findall(r"^\| \[([\w-]+)\.md\]", read("results/README.md"), flags=re.MULTILINE)
WITH_TABLES = [page for page in PAGES if "<!-- rbench table" in read(page) and not page.startswith("docs/")]


def loaded():
    """The script that makes pages again."""
    spec = importlib.util.spec_from_file_location("remake", ROOT / "results/remake.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REMAKE = loaded()
COMMANDS = [(page, command) for page in REMAKE.PAGES for command in REMAKE.commands(page)]


def test_every_page_is_listed_and_has_an_entry():
    assert sorted(LISTED) == sorted(path.stem for path in (ROOT / "results").glob("*.md") if path.stem != "README")
    assert sorted(REMAKE.PAGES) == sorted(LISTED)


@pytest.mark.parametrize("page", LISTED)
def test_a_page_names_its_command_and_the_time(page):
    commands = REMAKE.PAGES[page].commands
    assert (f"python results/remake.py {page} " in read(f"results/{page}.md")) == bool(commands)
    assert REMAKE.PAGES[page].time


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_one_of_the_command_line(page, command):
    {"rbench": parsed, "python": is_a_script}[command.words[0]](command.words)
    files = [command.output, *(word for word in command.words if word.startswith(("results/", "benchmarks/")))]
    for file in filter(None, files):
        assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("page", REMAKE.PAGES)
def test_runs_are_read_after_they_are_made(page):
    made = set()
    for command in REMAKE.commands(page):
        named = {"/".join(word.split("/")[:2]) for word in command.words if word.startswith("runs/")}
        makes = command.words[:2] in (["rbench", "run"], ["rbench", "tune"])
        own = {command.words[command.words.index("-o") + 1]} if makes and "-o" in command.words else set()
        assert named - own <= made
        made |= own


def test_every_file_of_rows_is_made_by_a_command():
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "results").glob("*.csv")}
    assert files == {command.output for _, command in COMMANDS if command.output}


@pytest.mark.parametrize("page", WITH_TABLES)
def test_the_sources_of_a_table_are_published_and_its_page_updates_it(page):
    for block in blocks(ROOT / page):
        sources = [word for word in block.arguments if word.endswith(".csv")]
        assert block.arguments[: len(sources)] == sources != []
        assert all(((ROOT / page).parent / source).is_file() for source in sources)
    assert any(command.words == ["rbench", "table", "--update", page] for _, command in COMMANDS)


def test_every_table_is_what_its_rows_make():
    done = call("table", "--check", *(ROOT / page for page in WITH_TABLES))
    assert (done.exit_code, done.output) == (0, ""), done.output


class TestScript:
    def test_the_table_of_commands_has_nothing_else(self):
        entries = tomllib.loads(read("results/remake.toml"))
        assert all(set(entry) == {"time", "commands"} for entry in entries.values())

    def test_the_first_that_fails_ends_all_but_failed_cells_do_not(self, monkeypatch):
        found = REMAKE.commands("memory")
        for status, run in ((0, len(found)), (1, 3), (2, 1)):
            seen = []
            monkeypatch.setattr(REMAKE, "run", lambda command, seen=seen, status=status: seen.append(command) or status)
            assert REMAKE.main(["memory"]) == (status if run < len(found) else 0)
            assert seen == found[:run]

    def test_a_dry_run_prints_what_would_run(self, monkeypatch, capsys):
        monkeypatch.setattr(REMAKE, "run", lambda _: pytest.fail("a command was run"))
        assert REMAKE.main(["step-time", "--dry-run"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1] == "rbench table runs/step-time --format csv > results/step-time.csv"
        assert "OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 NPROC=2 python benchmarks/own_sgd.py torch jax" in lines

    def test_what_a_command_prints_becomes_a_file_where_it_ends_well(self, monkeypatch, tmp_path):
        monkeypatch.setattr(REMAKE, "ROOT", tmp_path)
        for code, status in (("print(1 + 1)", 0), ("print(3); raise SystemExit(5)", 5)):
            assert REMAKE.run(REMAKE.Command({}, ["python", "-c", code], "a.csv")) == status
            assert (tmp_path / "a.csv").read_text() == "2\n"

    def test_an_unknown_page_is_refused(self, capsys):
        with pytest.raises(SystemExit, match="2"):
            REMAKE.main(["refrence"])
        assert "no page is called 'refrence'; there are: reference, mnist" in capsys.readouterr().err
