"""Which directories may hold a run, and which of their files are rbench's."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias

import psutil

from rbench.errors import RbenchError
from rbench.names import shown
from rbench.run.reading import DamagedError, NewerError, read_bytes, read_object
from rbench.run.record import find
from rbench.run.run_file import NAME, is_run, read_run_file

Kind: TypeAlias = Literal["run", "tune"]

TUNE = "tune.json"
STAGES = ("trials", "confirmations")
"""Folders of a tune, each a run of its own."""

FOLDERS = ("cells", *STAGES)
LITTER = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|lost\+found|\.nfs[0-9a-f]+|\._.*")
"""Files that systems leave in any directory."""

WAY_OUT = "name another `directory`"
_KEY = re.compile(r".+--[0-9a-f]{10}")
_HALF = re.compile(r"\.(.+\.json)\.(\d+)")
"""A partial file: its name, and the ID of the process that was writing it."""


def check_directory(directory: Path, wanted: Kind) -> None:
    """Raise unless a directory may be run into: absent, empty, or one that rbench has run into before.

    rbench's directories are known by a `run.json`, `tune.json`, lock or records; other files in them are left alone,
    and a damaged `run.json` counts as damaged. Nothing is written.

    Args:
        directory: where to run.
        wanted: what is to be run. A run may go into the directory of a tune.

    Raises:
        RbenchError: it is no directory, holds something else, or cannot be read; the message says how to choose
            another.
        NewerError: its `run.json` is of a newer version.
    """
    names = {name for name in _names(directory) if not LITTER.fullmatch(name)}
    folders = {name: _names(directory / name) for name in FOLDERS if name in names}
    has = is_run(directory) or _has_records(folders) or TUNE in names
    if wanted == "tune" and TUNE not in names and (NAME in names or has):
        raise RbenchError(f"{directory} holds a run that is no tune; {WAY_OUT}")
    if has:
        _check_run_file(directory)
    if not (_is_ours(directory, names, folders) or _is_bare(directory, names, folders)):
        strangers = sorted(name for name in names - {".lock", *FOLDERS} if not _is_run(directory / name))
        if strangers or names & {".lock", *FOLDERS}:
            example = shown((strangers or sorted(names))[0])
            raise RbenchError(f"{directory} is not empty, and holds no run of rbench, but {example}; {WAY_OUT}")


@contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Say what to do where a run cannot write into its directory.

    Raises:
        RbenchError: the block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise RbenchError(f"cannot run into {directory}: {error.strerror}; {WAY_OUT}") from None


def refuse_newer(directory: Path) -> None:
    """Raise where a newer version wrote some records, before others are mixed with them.

    Raises:
        NewerError: the message names the version.
    """
    if newer := find(directory).newer:
        raise newer_records(newer)


def newer_records(newer: dict[Path, str]) -> NewerError:
    """The error for records that are of newer versions."""
    return NewerError(
        f"{next(iter(newer.values()))} (records like this: {len(newer)}); run with the version that wrote them, or "
        f"{WAY_OUT}"
    )


def remove_halves(folder: Path) -> None:
    """Remove partial files of killed processes, where they have rbench's names.

    Args:
        folder: the run's directory, or that of its records; its lock is held.
    """
    own = {NAME, TUNE, "tuned.json"}
    with suppress(FileNotFoundError):
        for entry in os.listdir(folder):
            half = _HALF.fullmatch(entry)
            if half and (half[1] in own or _KEY.fullmatch(half[1].removesuffix(".json"))):
                path = folder / entry
                with suppress(OSError):  # a directory of that name, say
                    if not _is_writing(int(half[2]), path):
                        path.unlink()


def _is_writing(number: int, path: Path) -> bool:
    """Whether the process with an ID may be the one that is writing a file.

    This process has begun none yet, nor has the system's first: a run that is its container's first process holds the
    lock, or is this one.
    """
    if number in (1, os.getpid()):
        return False
    try:
        return bool(psutil.Process(number).create_time() <= path.lstat().st_mtime + 1)
    except (psutil.Error, OverflowError, ValueError):
        return False


def _names(directory: Path) -> list[str]:
    """The names in a directory; none where it does not exist.

    Raises:
        RbenchError: it is no directory, or cannot be read.
    """
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        if not directory.is_symlink():
            return []
        words = f"it is a link to {os.readlink(directory)}, which does not exist"
    except (OSError, ValueError) as error:
        words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    raise RbenchError(f"cannot write into {directory}: {words}; {WAY_OUT}")


def _has_records(folders: dict[str, list[str]]) -> bool:
    return any(_KEY.match(name.lstrip(".")) for name in folders.get("cells", ()))


def _check_run_file(directory: Path) -> None:
    """Raise for a `run.json` of a newer version; one that is damaged is set aside when the run begins."""
    try:
        read_run_file(directory)
    except NewerError as error:
        raise NewerError(f"{error}; run with that version, or {WAY_OUT}") from None
    except (DamagedError, FileNotFoundError):
        return


def _is_ours(directory: Path, names: set[str], folders: dict[str, list[str]]) -> bool:
    """Whether rbench has run into a directory before."""
    tuned = TUNE in names and "trials" in folders
    tuned |= directory.name in STAGES and os.path.lexists(directory.parent / TUNE)  # a stage of a tune
    return tuned or _has_records(folders) or _is_locked_by_rbench(directory) or _names_its_plan(directory)


def _is_run(path: Path) -> bool:
    """Whether a directory's entry is a run itself, as in a folder of runs."""
    return path.is_dir() and _names_its_plan(path)


def _names_its_plan(directory: Path) -> bool:
    """Whether `run.json` or `tune.json` has rbench's shape."""
    run = read_object(directory / NAME)
    tune = read_object(directory / TUNE)
    if any(isinstance(known, dict) and "rbench" in known for known in (run.get("provenance"), tune.get("provenance"))):
        return True
    with suppress(DamagedError, FileNotFoundError):
        return all(_KEY.fullmatch(key) for key in read_run_file(directory).cells)
    return False


def _is_locked_by_rbench(directory: Path) -> bool:
    with suppress(OSError):
        return re.match(rb"process \d+ on ", read_bytes(directory / ".lock")) is not None
    return False


def _is_bare(directory: Path, names: set[str], folders: dict[str, list[str]]) -> bool:
    """Whether a directory looks like that of a run that was killed as it began, on a full disk."""
    with suppress(OSError):
        empty = ".lock" not in names or not read_bytes(directory / ".lock")
        return empty and names <= {".lock", *FOLDERS} and not any(folders.values())
    return False
