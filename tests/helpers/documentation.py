"""The project's pages: their code blocks, and the commands in them."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/*.md", "results/*.md")
    for path in sorted(ROOT.glob(pattern))
]


class Block(NamedTuple):
    """A fenced block: the page, the number of its first line, the language after the fence, and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def read(page):
    """The text of a page."""
    return (ROOT / page).read_text()


def blocks(page):
    """The fenced blocks of a page, in order."""
    found, inside = [], None
    for number, line in enumerate(read(page).splitlines(), start=1):
        if not line.startswith("```"):
            if inside is not None:
                inside.append(line)
        elif inside is None:
            inside, start, language = [], number + 1, line[3:].strip()
        else:
            found.append(Block(page, start, language, "".join(f"{one}\n" for one in inside)))
            inside = None
    assert inside is None, f"{page}: a block that does not end"
    return found


def prose(page):
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)


def commands(text):
    """The commands of a block as lists of words: without comments, redirections and settings of the environment."""
    variables: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        words = shlex.split(line, comments=True)
        if len(words) == 1 and re.match(r"[A-Z]+=", words[0]):
            name, _, variables[name] = words[0].partition("=")
            continue
        yield from _parted(words)


def _parted(words):
    """The commands of a line, which stand on both sides of `&&`."""
    command: list[str] = []
    for word in [*words, "&&"]:
        if word != "&&":
            command.append(word)
        elif command:
            plain = command[: command.index(">")] if ">" in command else command
            yield [one for one in plain if not re.match(r"[A-Z_]+=", one)]
            command = []
