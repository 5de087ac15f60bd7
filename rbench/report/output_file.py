"""Files that a report is written to, checked before any work."""

import os
from collections.abc import Collection
from pathlib import Path

from rbench.errors import RbenchError


def check_output(path: Path, endings: Collection[str], what: str) -> None:
    """Refuse a file that cannot be written.

    Args:
        path: the file.
        endings: those that its name may have, in lower case, the usual one first.
        what: is written, in words.

    Raises:
        RbenchError: the path is a folder, a device or otherwise no file, or has another ending; its folder does not
            exist; or it cannot be written.
    """
    example = f"{what}{next(iter(endings))}"
    try:
        if path.is_dir():
            raise refusal(path, what, f"it is a folder; name a file, such as {path / example}")
        if path.exists() and not path.is_file():
            raise refusal(path, what, f"it is no file but a device or a pipe; name a file, such as {example}")
        if path.suffix.lower() not in endings:
            raise refusal(path, what, f"its ending {path.suffix!r} is none of {', '.join(endings)}")
        folder = path.resolve().parent
        if not folder.is_dir():
            raise refusal(path, what, f"there is no folder {folder}; make it, or name a file in another")
        if not os.access(path if path.exists() else folder, os.W_OK) or not os.access(folder, os.W_OK):
            raise refusal(path, what, "it cannot be written; change its permissions, or name another file")
    except (OSError, ValueError) as error:  # such as a name that is too long; refusals are neither
        raise refusal(path, what, str(error)) from None


def refusal(path: Path, what: str, why: str) -> RbenchError:
    """The error for a file that cannot be written."""
    return RbenchError(f"cannot write the {what} to {path}: {why}")
