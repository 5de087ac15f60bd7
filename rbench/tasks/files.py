"""Files of public data sets: found on this machine or fetched, and their content checked.

A file is looked for in `$RBENCH_DATA/<data set>/`, `$RBENCH_DATA/` and the user's cache, in this order, as `name.gz` or
`name`; where an archive holds several files, in the folder that it unpacks to as well. Data sets whose files are called
like another's are not looked for in `$RBENCH_DATA/` itself.
"""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rbench.errors import DataError
from rbench.names import shown
from rbench.tasks import archive

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Attributes:
        name: name of the uncompressed file.
        archive_sha256: SHA-256 that a download must have: of the compressed file, or of the archive that holds it.
        content_sha256: SHA-256 of the content, which makes a copy official however it is compressed.
    """

    name: str
    archive_sha256: str
    content_sha256: str


@dataclass(frozen=True)
class FileSet:
    """The files of one data set.

    Attributes:
        name: name of the data set, and of its folder.
        address: public address that the name of what is published is added to.
        files: in the order in which their reader wants them.
        archive: name of the tar archive that holds all files; empty if each is published by itself, as `name.gz`.
        folder: folder that the archive unpacks to.
        own_folder: whether files are looked for in folders of the data set's name only, since another data set has
            files of the same names.
    """

    name: str
    address: str
    files: tuple[File, ...]
    archive: str = ""
    folder: str = ""
    own_folder: bool = False

    @property
    def cache(self) -> Path | None:
        """The folder where downloads are kept; None for a user without a home directory."""
        from platformdirs import user_cache_path

        try:
            return user_cache_path("rbench") / self.name
        except RuntimeError:
            return None

    @property
    def folders(self) -> list[Path]:
        """Where files are looked for, in order.

        Raises:
            DataError: RBENCH_DATA does not name a folder.
        """
        root = given_folder()
        given = [root / self.name, root][: 1 if self.own_folder else 2] if root else []
        inside = [folder / self.folder for folder in given] if self.folder else []
        return [*inside, *given, *filter(None, [self.cache])]


@dataclass(frozen=True)
class FileStatus:
    """The status of a file on this machine.

    Attributes:
        file: its name.
        path: where it is; None if absent.
        sha256: SHA-256 of its uncompressed content; None if absent or damaged.
        problem: in words, why it is not the published file; None if it is.
    """

    file: str
    path: Path | None
    sha256: str | None
    problem: str | None

    @property
    def official(self) -> bool:
        """Whether its content is the published one."""
        return self.problem is None


def read(files: FileSet, allow_unofficial: bool) -> tuple[list[tuple[Path, bytes]], str, bool]:
    """Read every file, fetching those that are absent.

    Returns:
        For each file its path and its uncompressed content; the SHA-256 of their checksums, concatenated as hexadecimal
        ASCII digits; and whether all are the published ones.

    Raises:
        DataError: a file is absent and cannot be fetched, is damaged, or is not the published one and
            `allow_unofficial` is not set.
    """
    contents = []
    sums = hashlib.sha256()
    official = True
    for file in files.files:
        path = _locate(files, file) or _download(files, file)
        data, state = _read(file, path)
        if not state.official and not allow_unofficial:
            raise DataError(
                f"{state.problem}. Replace or remove it, or allow it with `unofficial_data`, which marks every record"
            )
        contents.append((path, data))
        sums.update(str(state.sha256).encode())
        official = official and state.official
    return contents, sums.hexdigest(), official


def status(files: FileSet) -> list[FileStatus]:
    """The status of every file on this machine; fetches nothing."""
    return [_status(files, file) for file in files.files]


def fetch(files: FileSet) -> list[FileStatus]:
    """Fetch the files that are absent into the cache, and return the status of all.

    Raises:
        DataError: a file cannot be fetched.
    """
    for file in files.files:
        if _locate(files, file) is None:
            _download(files, file)
    return status(files)


def given_folder() -> Path | None:
    """The folder that RBENCH_DATA names, which need not exist; None if it is not set.

    Raises:
        DataError: it is a file, a folder that cannot be read, or in the home of an unknown user.
    """
    root = os.environ.get("RBENCH_DATA")
    if not root:
        return None
    try:
        folder = Path(root).expanduser()
        if folder.exists():
            os.scandir(folder).close()
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no such home directory"
        raise DataError(
            f"RBENCH_DATA is {shown(root)}, which is not a folder of data: {why}; set it to a folder, or leave it unset"
        ) from None
    return folder


def _status(files: FileSet, file: File) -> FileStatus:
    path = _locate(files, file)
    if path is None:
        return FileStatus(file.name, None, None, "absent")
    try:
        return _read(file, path)[1]
    except DataError as error:
        return FileStatus(file.name, path, None, str(error))


def _locate(files: FileSet, file: File) -> Path | None:
    names = (file.name,) if files.archive else (f"{file.name}.gz", file.name)
    candidates = [folder / name for folder in files.folders for name in names]
    # Unlike Path.is_file, this is False for a file in a folder that may not be read.
    return next((path for path in candidates if os.path.isfile(path)), None)


def _read(file: File, path: Path) -> tuple[bytes, FileStatus]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            data = stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or cannot be read: {error}. Remove or replace it") from error
    sha256 = hashlib.sha256(data).hexdigest()
    problem = None
    if sha256 != file.content_sha256:
        problem = (
            f"{path} is not the published {file.name}: the sha256 of its content is {sha256}, "
            f"officially {file.content_sha256}"
        )
    return data, FileStatus(file.name, path, sha256, problem)


def _download(files: FileSet, file: File) -> Path:
    """Fetch into the cache, with all other files of the archive; if interrupted, leave no partial file there."""
    published = files.archive or f"{file.name}.gz"
    url = files.address + published
    cache = files.cache
    try:
        if cache is None:
            raise FileNotFoundError("there is no home directory to keep it in; set HOME or XDG_CACHE_HOME")
        if not files.archive:
            return archive.fetch(url, file.archive_sha256, cache, TIMEOUT_SECONDS)
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache) as scratch:
            fetched = archive.fetch(url, file.archive_sha256, Path(scratch), TIMEOUT_SECONDS)
            archive.unpack(fetched, [each.name for each in files.files], cache)
        return cache / file.name
    except (OSError, ValueError) as error:
        unset = "" if os.environ.get("RBENCH_DATA") else " (RBENCH_DATA is not set)"
        wanted = f"{files.folder}/{file.name}" if files.archive else f"{files.name}/{published}"
        raise DataError(
            f"{files.name}: {file.name if files.archive else published} is absent and could not be fetched.\n"
            f"  looked in: {', '.join(map(str, files.folders)) or 'no folder'}{unset}\n"
            f"  tried: {url}: {type(error).__name__}: {error}\n"
            f"Go online and run `rbench data fetch {files.name}`, or set RBENCH_DATA to a folder that holds {wanted}"
        ) from error
