"""rbench's own files, checked against their declared types as they are read."""

import errno
import os
import stat
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json

import rbench
from rbench.errors import DataError
from rbench.experiment import NO_EXPERIMENT
from rbench.names import shown

LARGEST = 2**28
"""Most bytes of a file: rbench's are far smaller, and a larger one could fill the memory."""

Count: TypeAlias = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
Real: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Number: TypeAlias = Count | Real
"""A number of a file: finite, of at most 64 bits, and no bool."""

M = TypeVar("M", bound=BaseModel)


class DamagedError(DataError):
    """A file is not as rbench wrote it, or rbench did not write it; the message names it and says why."""


class NewerError(DataError):
    """A file is whole, but holds what this version does not know; the message names the version that wrote it."""


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read, or is too large, or is a directory, a pipe or a device.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so a pipe without a writer does not block
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        if found.st_size > LARGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        with open(file, "rb", closefd=False) as stream:
            return stream.read(found.st_size)
    finally:
        os.close(file)


def read_file(path: Path, kind: type[M]) -> M:
    """Read a JSON file as its declared type.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it cannot be read, or is not of that type.
        NewerError: a newer version wrote it.
    """
    try:
        return parsed(read_bytes(path), kind, path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from None


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of unknown type; empty where it cannot be read, or is no object."""
    try:
        content = from_json(read_bytes(path))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def parsed(text: bytes, kind: type[M], path: Path) -> M:
    """JSON as its declared type, strictly: nothing is converted, and unknown fields are refused.

    Args:
        text: the JSON.
        kind: the type; it forbids fields that it does not have.
        path: of the file, for messages.

    Raises:
        DamagedError: it is no JSON, or not of that type.
        NewerError: it has a field or a literal that the type does not know, or an experiment that is not registered
            here.
    """
    try:
        return kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}") from None
    if missing := [fault["msg"] for fault in faults if fault["type"] == NO_EXPERIMENT]:
        raise NewerError(
            f"{path} cannot be read here: {missing[0]}; install what registers it, or name its file in RBENCH_PLUGINS"
        )
    unknown = [fault for fault in faults if _is_unknown(fault)]
    version = _version(text) if unknown else None
    if unknown and (version or all(fault["type"] != "missing" for fault in faults)):
        raise NewerError(
            f"{path} was written by rbench {version or '(it does not say which)'}; this one, {rbench.__version__}, "
            f"does not know {_place(unknown[0])}"
        )
    where = f"{_place(faults[0])}: " if faults[0]["loc"] else ""
    raise DamagedError(f"{path} is damaged: {where}{faults[0]['msg']}")


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `NAME.damaged`, or `NAME.damaged-2` and so on; returns its new path.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = path.with_name(f"{path.name}.damaged")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    return path.replace(aside)


def _is_unknown(fault: Any) -> bool:
    """Whether this version does not know a field or a literal."""
    return fault["type"] == "extra_forbidden" or (fault["type"] == "literal_error" and isinstance(fault["input"], str))


def _place(fault: Any) -> str:
    """Where a fault is, with the literal if that is the fault."""
    place = shown(".".join(map(str, fault["loc"])))
    return f"{shown(fault['input'])} as {place}" if fault["type"] == "literal_error" else place


def _version(text: bytes) -> str | None:
    """The version of rbench that wrote a file, by its provenance or environment."""
    content = from_json(text)
    parts = [content.get(name) for name in ("provenance", "environment")] if isinstance(content, dict) else []
    versions = [part["rbench"] for part in parts if isinstance(part, dict) and isinstance(part.get("rbench"), str)]
    return shown(versions[0]).strip("'") if versions else None
