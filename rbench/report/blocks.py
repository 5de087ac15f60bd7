"""Tables within a text: marked blocks that a command fills, and can make again from their first line.

A block stands between `<!-- rbench table NAME: ARGUMENTS -->` and `<!-- /rbench table NAME -->`, each on a line of its
own. ARGUMENTS are those of `rbench table`; its paths are relative to the folder of the file.
"""

import re
import shlex
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple

from rbench.errors import DataError, RbenchError
from rbench.names import did_you_mean, shown

_BLOCK = re.compile(
    r"^<!-- rbench table (?P<name>[\w.-]+)(?:: (?P<arguments>[^\n]*?))? -->[ \t]*\n"
    r"(?P<body>.*?)^<!-- /rbench table (?P=name) -->",
    re.MULTILINE | re.DOTALL,
)
_OPENING = re.compile(r"^<!-- rbench table ([\w.-]+)", re.MULTILINE)


class Block(NamedTuple):
    """A marked block of a file.

    Attributes:
        name: what the marker calls it.
        arguments: of the command that fills it; None where none has yet.
        body: the lines between its markers.
    """

    name: str
    arguments: list[str] | None
    body: str


def blocks(path: Path) -> list[Block]:
    """The blocks of a file, in order.

    Raises:
        DataError: the file cannot be read; a marker has no end; or two blocks have one name.
    """
    text = _text(path)
    found = [Block(match["name"], _split(path, match), match["body"]) for match in _BLOCK.finditer(text)]
    names = [block.name for block in found]
    opened = _OPENING.findall(text)
    if lost := [name for name in opened if opened.count(name) > names.count(name)]:
        raise DataError(f"{path}: block {lost[0]} has no end; write `<!-- /rbench table {lost[0]} -->` below it")
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{path}: two blocks are called {twice[0]}; rename one")
    return found


def updated(path: Path, name: str, arguments: list[str], body: str) -> str:
    """The text of a file with a block filled anew.

    Raises:
        DataError: as `blocks`, or there is no block of that name.
    """
    names = [block.name for block in blocks(path)]
    if name not in names:
        raise DataError(
            f"{path} has no block called {shown(name)}{did_you_mean(name, names)}; write the lines "
            f"`<!-- rbench table {name} -->` and `<!-- /rbench table {name} -->` where the table is to stand"
        )
    words = shlex.join(arguments)
    if "-->" in words or not words.isprintable():
        raise RbenchError(f"the marker of {name} cannot hold {shown(words)}: a comment is one line, and ends at -->")

    def filled(match: re.Match[str]) -> str:
        if match["name"] != name:
            return match[0]
        return f"<!-- rbench table {name}: {words} -->\n\n{body.strip()}\n\n<!-- /rbench table {name} -->"

    return _BLOCK.sub(filled, _text(path))


def stale(path: Path, make: Callable[[list[str]], str]) -> str:
    """What would change in a file if its blocks were filled again, as a unified diff; empty where nothing would.

    Args:
        path: the file.
        make: the table that arguments make.

    Raises:
        DataError: as `blocks`; or the file has no block that can be made again.
    """
    found = [block for block in blocks(path) if block.arguments is not None]
    if not found:
        raise DataError(f"{path} has no block to check; fill one with `marker`, or leave the file out")
    parts: list[str] = []
    for block in found:
        before, after = (text.strip().splitlines() for text in (block.body, make(block.arguments or [])))
        parts += unified_diff(before, after, f"{path}: {block.name}", "made again", lineterm="")
    return "\n".join(parts)


def _split(path: Path, match: re.Match[str]) -> list[str] | None:
    try:
        return None if match["arguments"] is None else shlex.split(match["arguments"])
    except ValueError as error:
        raise DataError(f"{path}: block {match['name']}: its arguments cannot be read: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
