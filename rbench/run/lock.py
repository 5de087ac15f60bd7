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
    """Hold a directory, which is made where it is not there, until the block ends.

    The lock is the kernel's, on `DIR/.lock`: it goes when the process ends, however that ends; the file stays, and
    names the last holder. On NFS, Linux passes it to the server, which holds it against other machines too, unless the
    volume is mounted with `nolock` or `local_lock`: then it holds on one machine alone. A file system that has no locks
    is refused.

    Raises:
        RbenchError: another process holds it; the message names it. Or the directory cannot be written or locked.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Not through a link, which may lead to somebody's file; and a pipe of that name must not hold the program.
        file = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise RbenchError(f"cannot write into {directory}: {error.strerror}; {WAY_OUT}") from None
    try:
        _take(file, directory)
        yield
    finally:
        os.close(file)


def _take(file: int, directory: Path) -> None:
    """Lock the open file, and write into it who has it."""
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
    with suppress(OSError):  # on a full disk it holds nameless
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
