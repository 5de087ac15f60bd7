"""Archives of public data sets: fetched, checked and unpacked."""

import logging
import os
import shutil
import sys
import tarfile
from collections.abc import Collection
from pathlib import Path

from rbench.errors import DataError
from rbench.settings import at_level


def fetch(url: str, sha256: str, folder: Path, timeout: float) -> Path:
    """Fetch a file into a folder, under the last part of its URL as its name.

    pooch writes to a temporary file in the folder, checks its sum, and renames it. The server may be silent for
    `timeout` seconds.

    Raises:
        OSError: the file cannot be fetched.
        ValueError: it has another checksum; it is not kept.
    """
    import pooch

    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=timeout)
    with at_level(logging.WARNING, pooch.get_logger()):
        return Path(pooch.retrieve(url, f"sha256:{sha256}", url.rpartition("/")[2], folder, downloader=downloader))


def unpack(archive: Path, names: Collection[str], folder: Path) -> None:
    """Write the named files of a tar archive into a folder, whatever their folders in it; nothing else is written.

    Each is first written next to the archive, which lies on the file system of `folder`, and then moved, so that the
    folder never holds part of one.

    Raises:
        DataError: the archive lacks one of them.
    """
    missing = set(names)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            source = tar.extractfile(member) if name in missing and member.isfile() else None
            if source is None:
                continue
            with source, (archive.parent / name).open("wb") as target:
                shutil.copyfileobj(source, target)
            os.replace(archive.parent / name, folder / name)
            missing.remove(name)
    if missing:
        raise DataError(f"{archive.name} holds no {', '.join(sorted(missing))}: it is not the archive of this data set")
