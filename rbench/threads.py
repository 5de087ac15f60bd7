"""Threads of numerical libraries that would be in each other's way."""

from functools import cache
from pathlib import Path

from threadpoolctl import ThreadpoolController


@cache
def keep_scipy_to_one_thread() -> None:
    """Limit SciPy's BLAS to one thread in this process, where it is one of its own.

    NumPy's and SciPy's wheels bring a BLAS each, with threads of their own that wait busily for work: taken in turn
    they slow each other down many times, and so they do beside XLA's threads. SciPy's factors and solves, also for JAX
    on a CPU; NumPy and XLA do the large products.
    """
    import scipy.linalg  # noqa: F401 -- so that its library is there to be limited

    blas = ThreadpoolController().select(user_api="blas")

    def shipped_with(package: str) -> list[str]:
        return [lib["filepath"] for lib in blas.info() if Path(lib["filepath"]).parent.name == f"{package}.libs"]

    if shipped_with("numpy") and shipped_with("scipy"):
        blas.select(filepath=shipped_with("scipy")).limit(limits=1)
