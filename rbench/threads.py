"""Threads of numerical libraries that would slow each other down."""

from functools import cache
from pathlib import Path
from typing import Any

from threadpoolctl import ThreadpoolController

from rbench.settings import Setting, Undo


@cache
def _scipy_blas() -> Any:
    """The controller of SciPy's BLAS, if that is separate from NumPy's; else of nothing."""
    import scipy.linalg  # noqa: F401 -- so that its library is there to be found

    blas = ThreadpoolController().select(user_api="blas")
    files = [library.filepath for library in blas.lib_controllers]

    def shipped_with(package: str) -> list[str]:
        return [file for file in files if Path(file).parent.name == f"{package}.libs"]

    return blas.select(filepath=shipped_with("scipy") if shipped_with("numpy") else [])


def _to_one() -> Undo:
    undo: Undo = _scipy_blas().limit(limits=1).restore_original_limits
    return undo


scipy_on_one_thread = Setting(_to_one)
"""A context in which SciPy's BLAS has one thread, if it is separate from NumPy's.

NumPy's and SciPy's wheels each bring a BLAS whose threads wait busily for work: used in turn, they slow each other and
XLA's threads down many times. SciPy's BLAS factors and solves, also for JAX on a CPU; NumPy and XLA do the large
products.
"""
