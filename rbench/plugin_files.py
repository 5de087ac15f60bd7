"""Plugins that are single Python files, named by the environment variable `RBENCH_PLUGINS`, which processes inherit."""

import hashlib
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rbench.errors import PluginError
from rbench.names import shown

VARIABLE = "RBENCH_PLUGINS"
"""Paths of the files, separated as in `PATH`."""

NAME = r"[A-Za-z0-9_-]+\.py"
"""What the name of a plugin's file is, as a regular expression."""


@dataclass(frozen=True)
class PluginFile:
    """A plugin's file as it was read.

    Attributes:
        path: where it lies, absolute.
        source: its text.
    """

    path: Path
    source: str

    @property
    def name(self) -> str:
        """Its name without the folder, which no other file of a process has."""
        return self.path.name

    @property
    def sum(self) -> str:
        """The beginning of the SHA-256 of its text."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]

    def load(self) -> ModuleType:
        """The module of this text, which runs once in a process; another version of the file is another module."""
        name = f"{self.path.stem.replace('-', '_')}_{self.sum[:8]}"
        if name not in sys.modules:
            module = sys.modules[name] = ModuleType(name)
            module.__file__ = str(self.path)
            try:
                exec(compile(self.source, self.path, "exec"), vars(module))
            except BaseException:
                del sys.modules[name]
                raise
        return sys.modules[name]

    def place(self, error: BaseException) -> str:
        """The path, and the last line of the file that an error passed through, such as `/home/me/mine.py:3`."""
        for one in filter(None, (error, error.__cause__)):
            if isinstance(one, SyntaxError) and one.filename == str(self.path):
                return f"{self.path}:{one.lineno}"
            frames = traceback.extract_tb(one.__traceback__)
            if lines := [frame.lineno for frame in frames if frame.filename == str(self.path)]:
                return f"{self.path}:{lines[-1]}"
        return str(self.path)


def check_name(path: Path) -> None:
    """Raise a `PluginError` for a path whose last part cannot be the name of a plugin's file."""
    if not re.fullmatch(NAME, path.name) or os.pathsep in str(path):
        raise PluginError(
            f"{shown(str(path))} cannot be a plugin: its name must be letters, digits, _ and -, and then .py, "
            f"and its path have no {os.pathsep}; rename it"
        )


def read(paths: str) -> list[PluginFile]:
    """The files that a value of `RBENCH_PLUGINS` names, in order; one that is named twice counts once.

    Raises:
        PluginError: one has no name of a plugin, or cannot be read; or two have one name.
    """
    found: dict[str, PluginFile] = {}
    for path in dict.fromkeys(Path(one).resolve() for one in paths.split(os.pathsep) if one):
        check_name(path)
        if path.name in found:
            raise PluginError(f"two plugins are called {path.name}: {found[path.name].path} and {path}; rename one")
        try:
            found[path.name] = PluginFile(path, path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PluginError(f"plugin {path} cannot be read: {error.strerror}; name a Python file") from None
        except UnicodeDecodeError:
            raise PluginError(f"plugin {path} cannot be read: it is not text in UTF-8; name a Python file") from None
    return list(found.values())


def add(paths: Sequence[Path]) -> None:
    """Name files in this process's `RBENCH_PLUGINS`, besides those that it names.

    Raises:
        PluginError: as for `read`.
    """
    for path in paths:
        check_name(path)
    asked = os.pathsep.join([os.environ.get(VARIABLE, ""), *map(str, paths)])
    os.environ[VARIABLE] = os.pathsep.join(str(file.path) for file in read(asked))


@contextmanager
def named(paths: str) -> Iterator[None]:
    """A block in which `RBENCH_PLUGINS` has a value; blocks of several threads must not overlap."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = paths
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
