"""A zip of a few kinds of files with their SHA-256 sums: the same content is the same bytes; read with suspicion."""

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from rbench import plugin_files
from rbench.errors import DataError
from rbench.names import shown
from rbench.run.reading import LARGEST, read_bytes

FOLDER = "run/"
"""Folder of all members, so that an unpacked bundle is one directory."""

SUMS = "SHA256SUMS"
MEMBER = re.compile(
    r"run\.json|environment\.json|requirements\.txt|README\.md|cells/[\w.-]+--[0-9a-f]{10}\.json"
    rf"|plugins/{plugin_files.NAME}",
    re.ASCII,
)
"""Names that a bundle's members have, apart from that of the sums."""

MOST = 2**30
"""Most bytes of all members together."""

_FIRST = (1980, 1, 1, 0, 0, 0)
"""The earliest time of a zip, as that of every member."""

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What the standard library raises for archives that are damaged, encrypted or of another kind."""


def packed(members: Mapping[str, bytes]) -> bytes:
    """The bytes of an archive of members, by name within the folder, and their sums.

    Raises:
        DataError: a member has a name that none may have.
    """
    if strange := [name for name in members if not MEMBER.fullmatch(name)]:
        raise DataError(f"{strange[0]} has no name that rbench gives a file of a run; move it elsewhere")
    sums = "".join(f"{_sum(members[name])}  {name}\n" for name in sorted(members))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted({**members, SUMS: sums.encode()}.items()):
            info = zipfile.ZipInfo(FOLDER + name, _FIRST)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = 3, 0o644 << 16  # as on Unix, wherever it is made
            archive.writestr(info, content)
    return target.getvalue()


def unpacked(path: Path) -> dict[str, bytes]:
    """The members of an archive, by name within the folder, once all match their sums; nothing is written.

    Raises:
        DataError: it cannot be read, or is no such archive, or too large; a member has a name that none may have, or
            was changed, or is missing. The message names it.
    """
    try:
        source = io.BytesIO(read_bytes(path))
        with zipfile.ZipFile(source) as archive:
            found = {_name(info, path): _content(archive, info, path) for info in _infos(archive, path)}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except _BROKEN as error:
        raise DataError(f"{path} is no bundle, or is damaged: {error}; give a file of `rbench bundle`") from None
    _check(found, path)
    del found[SUMS]
    return found


def _infos(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if twice := next((name for name in names if names.count(name) > 1), None) if len({*names}) < len(names) else None:
        raise DataError(f"{path} holds {shown(twice)} twice")
    if (size := sum(info.file_size for info in infos)) > MOST:
        raise DataError(f"{path} would unpack to {size:,} bytes, and a bundle has at most {MOST:,}")
    return infos


def _name(info: zipfile.ZipInfo, path: Path) -> str:
    """A member's name within the folder, which no path may leave."""
    name = info.filename.removeprefix(FOLDER)
    if not info.filename.startswith(FOLDER) or not (name == SUMS or MEMBER.fullmatch(name)):
        raise DataError(f"{path} holds {shown(info.filename)}, which no bundle has")
    return name


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    if info.file_size > LARGEST:
        raise DataError(f"{path}: {info.filename} has {info.file_size:,} bytes, and a member at most {LARGEST:,}")
    try:
        with archive.open(info) as member:
            return member.read(info.file_size)
    except _BROKEN as error:
        raise DataError(f"{path}: {info.filename} is damaged: {error}") from None


def _check(found: Mapping[str, bytes], path: Path) -> None:
    """Raise unless members are those that the sums name, and match them."""
    if SUMS not in found:
        raise DataError(f"{path} is no bundle: it has no {FOLDER}{SUMS}; give a file of `rbench bundle`")
    lines = found[SUMS].decode(errors="replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sorted({*found, *sums} - {SUMS}):
        if name not in found:
            raise DataError(f"{path}: {FOLDER}{SUMS} names {shown(name)}, which is not there")
        if sums.get(name) != _sum(found[name]):
            raise DataError(f"{path}: {FOLDER}{name} is not what was bundled: its SHA-256 differs from {FOLDER}{SUMS}")


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
