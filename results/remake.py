"""Makes the pages of published results again: runs, raw rows, pictures and tables.

    python results/remake.py PAGE...      # or --all; --dry-run prints the commands, --list what each page takes

The commands of a page run in order, in the root of the repository, and the first that fails ends all. Runs are written
to `runs/`, and a command that is given again resumes them. The readings in words are not made: read the tables, and
see whether the words still hold. Data that must be downloaded come first: `rbench data fetch mnist`.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Page(NamedTuple):
    """What makes a page: the time that it took, as far as it is known, and the commands, one a line."""

    time: str
    commands: str


PAGES = {
    name: Page(**page) for name, page in tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")).items()
}


class Command(NamedTuple):
    """A command: settings of its environment, words, and the file that gets what it prints."""

    environment: dict[str, str]
    words: list[str]
    output: str | None

    @property
    def passing(self) -> tuple[int, ...]:
        """The exit statuses with which the next command may run.

        With 1, `rbench run` and `rbench tune` say that cells failed, which tables show, and `rbench compare` that
        figures differ.
        """
        return (0, 1) if self.words[1] in ("run", "tune", "compare") and self.words[0] == "rbench" else (0,)


def commands(page: str) -> list[Command]:
    """The commands of a page, in order."""
    found = []
    for line in filter(None, map(str.strip, PAGES[page].commands.splitlines())):
        words = shlex.split(line)
        output = words[words.index(">") + 1] if ">" in words else None
        words = words[: words.index(">")] if ">" in words else words
        settings = [word for word in words if re.match(r"[A-Z_]+=", word)]
        own = [word for word in words if word not in settings]
        found.append(Command(dict(word.split("=", 1) for word in settings), own, output))
    return found


def run(command: Command) -> int:
    """Run a command in the root, and give its exit status; its file is replaced only where it ends well."""
    program = {"rbench": ["-m", "rbench.cli"], "python": []}[command.words[0]]
    done = subprocess.run(
        [sys.executable, *program, *command.words[1:]],
        cwd=ROOT,
        env=os.environ | command.environment,
        stdout=subprocess.PIPE if command.output else None,
        check=False,
    )
    if command.output and done.returncode in command.passing:
        (ROOT / command.output).write_bytes(done.stdout)
    return done.returncode


def main(arguments: list[str] | None = None) -> int:
    """Make the pages that the arguments name, and give the exit status."""
    parser = argparse.ArgumentParser(description="Makes pages of published results again.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=", ".join(PAGES))
    parser.add_argument("--all", action="store_true", help="all pages")
    parser.add_argument("--list", action="store_true", help="print the pages and the time that each took")
    parser.add_argument("--dry-run", action="store_true", help="print the commands alone")
    asked = parser.parse_args(arguments)
    if unknown := [page for page in asked.pages if page not in PAGES]:
        parser.error(f"no page is called {', '.join(map(repr, unknown))}; there are: {', '.join(PAGES)}")
    if asked.list:
        print("\n".join(f"{name:<18} {page.time}" for name, page in PAGES.items()))
        return 0
    pages = list(PAGES) if asked.all else list(dict.fromkeys(asked.pages))
    if not pages:
        parser.error("name a page, or give --all")
    for command in (command for page in pages for command in commands(page)):
        words = [*(f"{key}={value}" for key, value in command.environment.items()), shlex.join(command.words)]
        print(" ".join(words) + (f" > {command.output}" if command.output else ""), flush=True)
        status = 0 if asked.dry_run else run(command)
        if status not in command.passing:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
