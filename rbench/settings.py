"""Settings of the whole process that a library needs to change for a while."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from threading import Lock
from typing import TypeAlias

Undo: TypeAlias = Callable[[], None]


@contextmanager
def at_level(level: int, *loggers: logging.Logger) -> Iterator[None]:
    """A context in which some loggers have a level; their own levels are restored afterwards."""
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, own in zip(loggers, before, strict=True):
            logger.setLevel(own)


class Setting(ContextDecorator):
    """A context in which a setting of the process is changed; it is restored when the last block that needs it ends.

    As a decorator it makes a function run within it. Blocks may be nested, and those of several threads may overlap.

    Args:
        change: makes the change, and returns a function that undoes it.
    """

    def __init__(self, change: Callable[[], Undo]) -> None:
        self._change = change
        self._lock = Lock()
        self._blocks = 0
        self._undo: Undo = lambda: None

    def __enter__(self) -> None:
        """Change it, for the first block."""
        with self._lock:
            if not self._blocks:
                self._undo = self._change()
            self._blocks += 1

    def __exit__(self, *error: object) -> None:
        """Take the change back, after the last block."""
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._undo()
