"""Threads of numerical libraries that would slow each other down."""

from functools import cache
from pathlib import Path
from typing import Any

from threadpoolctl import ThreadpoolController

from rbench.settings import Setting, Undo


@cache
def _scipy_blas() -> list[Any]:
    """SciPy's BLAS, if it is separate from NumPy's."""
    import scipy.linalg  # noqa: F401 -- so that its library is there to be found

    libraries = ThreadpoolController().select(user_api="blas").lib_controllers

    def shipped_with(package: str) -> list[Any]:
        return [library for library in libraries if Path(library.filepath).parent.name == f"{package}.libs"]

    return shipped_with("scipy") if shipped_with("numpy") else []


def _to_one() -> Undo:
    before = [(library, library.get_num_threads()) for library in _scipy_blas()]
    for library, _ in before:
        library.set_num_threads(1)

    def undo() -> None:
        for library, count in before:
            library.set_num_threads(count)

    return undo


scipy_on_one_thread = Setting(_to_one)
"""A context in which SciPy's BLAS has one thread, if it is separate from NumPy's.

NumPy's and SciPy's wheels each bring a BLAS whose threads wait busily for work: used in turn, they slow each other and
XLA's threads down many times. SciPy's BLAS factors and solves, also for JAX on a CPU; NumPy and XLA do the large
products.
"""
