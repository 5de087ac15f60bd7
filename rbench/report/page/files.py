"""The page as a file: exactly the named one is written, completely or not at all."""

import os
from pathlib import Path

from rbench.errors import RbenchError
from rbench.report.page.embedding import check_libraries
from rbench.run.record import write_text

ENDINGS = ".html", ".htm"


def check_page(path: Path) -> None:
    """Refuse a file that no page can be written to.

    Raises:
        RbenchError: a library is not installed; the path is a folder, a device or otherwise no file, or has another
            ending; its folder does not exist; or it cannot be written.
    """
    check_libraries()
    try:
        if path.is_dir():
            raise _refusal(path, f"it is a folder; name a file, such as {path / 'report.html'}")
        if path.exists() and not path.is_file():
            raise _refusal(path, "it is no file but a device or a pipe; name a file, such as report.html")
        if path.suffix.lower() not in ENDINGS:
            raise _refusal(path, f"its ending {path.suffix!r} is none of {', '.join(ENDINGS)}")
        folder = path.resolve().parent
        if not folder.is_dir():
            raise _refusal(path, f"there is no folder {folder}; make it, or name a file in another")
        if not os.access(path if path.exists() else folder, os.W_OK) or not os.access(folder, os.W_OK):
            raise _refusal(path, "it cannot be written; change its permissions, or name another file")
    except (OSError, ValueError) as error:  # such as a name that is too long; refusals are neither
        raise _refusal(path, str(error)) from None


def save_page(text: str, path: Path) -> None:
    """Write a page; an earlier file stays until this one is complete.

    Raises:
        RbenchError: as `check_page`, or it could not be written.
    """
    check_page(path)
    try:
        write_text(path.resolve(), text)  # the file behind a link
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from None


def _refusal(path: Path, why: str) -> RbenchError:
    return RbenchError(f"cannot write the page to {path}: {why}")
