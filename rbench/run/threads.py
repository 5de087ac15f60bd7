"""Threads of the numerical libraries, set for a process before it starts."""

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
"""OpenMP's (PyTorch), the BLAS libraries', and XLA's name for the size of its pool (JAX)."""


def thread_variables(count: int) -> dict[str, str]:
    """The environment variables that keep the libraries of a process to `count` threads each."""
    return dict.fromkeys(VARIABLES, str(count))
