"""Sets up, watches and ends processes that compute, the same for every method and backend."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
"""OpenMP's (PyTorch), the BLAS libraries', and XLA's name for the size of its pool (JAX)."""

PARENT = "RBENCH_PARENT"
"""The environment variable that holds the process ID of a worker's parent."""

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_NEVER = 2**31 - 1
_PR_SET_PDEATHSIG = 1


def thread_variables(count: int) -> dict[str, str]:
    """The environment variables that keep the libraries of a process to `count` threads each."""
    return dict.fromkeys(THREAD_VARIABLES, str(count))


def how_it_ended(code: int) -> str:
    """The end of a process in words, from its return code."""
    if code >= 0:
        return f"ended with exit status {code}"
    names = {one.value: one.name for one in signal.Signals}
    return f"was ended by signal {names.get(-code, -code)}"


def end_with_parent() -> None:
    """In a worker, on Linux: be killed when the parent ends, however it ends, so that no worker is orphaned.

    To the kernel the parent is the thread that started the worker; that thread waits for the worker.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):  # it has already ended
        os._exit(1)


def end_group(group: int) -> None:
    """Kill all processes of a group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def resident_bytes(group: int) -> int:
    """Resident memory of all processes of a group; memory that two of them share counts twice."""
    total = 0
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):  # it has ended meanwhile
            if os.getpgid(pid) == group:
                total += psutil.Process(pid).memory_info().rss
    return total


def kernel_kills() -> int:
    """How many processes the kernel has killed for lack of memory since it started; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def keep_freed_memory() -> None:
    """Let glibc reuse freed memory instead of giving it back to the system; other systems are left as they are.

    Otherwise every step maps its large arrays anew and touches each page for the first time, which nearly doubles the
    time of a step on NumPy. Call it before other threads start: JAX's allocate what a step needs, and in an arena of
    their own anything larger than 64 MiB would be mapped anew after all.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
