"""One run at a time in a directory."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rbench.errors import RbenchError
from rbench.run.directory import WAY_OUT


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory, made if absent, until the block ends.

    The kernel holds the lock on `DIR/.lock` and releases it when the process ends, however it ends; the file stays and
    names the last holder. On NFS, Linux passes the lock to the server, so that other machines respect it too, unless
    the volume is mounted with `nolock` or `local_lock`. A file system without locks is refused.

    Raises:
        RbenchError: another process, which the message names, holds the directory; or it cannot be written or locked.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A link may lead to somebody else's file, and opening a pipe of that name would block.
        file = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise RbenchError(f"cannot write into {directory}: {error.strerror}; {WAY_OUT}") from None
    try:
        _take(file, directory)
        yield
    finally:
        os.close(file)


def _take(file: int, directory: Path) -> None:
    """Lock the open file and write the holder's name into it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = "another process"
        with suppress(OSError):
            holder = os.read(file, 1000).decode(errors="replace").strip() or holder
        raise RbenchError(f"{directory} is in use by {holder}; wait until that ends, or {WAY_OUT}") from None
    except OSError as error:
        raise RbenchError(
            f"{directory} cannot be locked: {error.strerror}; name a directory on a local disk with -o"
        ) from None
    with suppress(OSError):  # on a full disk the lock has no name
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
