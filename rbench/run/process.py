"""How a process that computes is set up, the same for every method and backend."""

import ctypes
import signal

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
"""OpenMP's (PyTorch), the BLAS libraries', and XLA's name for the size of its pool (JAX)."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD, _NEVER = 32 * 2**20, 2**31 - 1


def thread_variables(count: int) -> dict[str, str]:
    """The environment variables that keep the libraries of a process to `count` threads each."""
    return dict.fromkeys(THREAD_VARIABLES, str(count))


def how_it_ended(code: int) -> str:
    """The end of a process in words, from its return code."""
    return f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def keep_freed_memory() -> None:
    """Let glibc reuse freed memory instead of giving it back to the system; other systems are left as they are.

    Otherwise every step maps its large arrays anew and touches each page for the first time, which nearly doubles the
    time of a step on NumPy.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
