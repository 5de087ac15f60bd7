"""NumPy arrays; SciPy where the array standard has no function."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import scipy.special
from scipy.linalg.blas import dtrsm, strsm
from scipy.linalg.lapack import dpotrf, spotrf

from rbench.arrays import read
from rbench.backend import Array, Backend
from rbench.sliding_window import Window, scatter_in_place
from rbench.threads import scipy_on_one_thread


class NumpyBackend(Backend):
    """NumPy at one dtype on the CPU.

    Arrays that have the dtype are taken as they are, not copied; nothing is ever written into them.

    Within `inference()` SciPy's BLAS has one thread if it is separate from NumPy's: see `rbench.threads`.
    """

    name = "numpy"
    xp = xp

    def __init__(self, dtype: str = "float32", device: str | None = None) -> None:
        self.dtype = dtype
        self.device = "cpu"
        self._potrf = spotrf if dtype == "float32" else dpotrf
        self._trsm = strsm if dtype == "float32" else dtrsm

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        return np.asarray(read(values, "the array"), dtype=self.float_dtype if dtype is None else dtype)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        return np.asarray(array)

    def synchronize(self, arrays: Sequence[Array] = ()) -> None:
        """Nothing to wait for: NumPy returns when it is done."""

    def inference(self) -> AbstractContextManager[Any]:
        return scipy_on_one_thread

    def compile(self, function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
        return function

    def cholesky(self, matrix: Array, shift: Array | float = 0.0) -> Array:
        for inflation in (1.0, 1 + 4 * len(matrix) ** 0.5 * self.epsilon):
            work = np.array(matrix, order="C")
            diagonal = np.einsum("ii->i", work)
            diagonal += shift
            diagonal *= inflation
            # A symmetric C-ordered matrix is its own Fortran transpose, so LAPACK takes it without a copy;
            # numpy.linalg.cholesky, which transposes it element by element, is several times slower.
            upper, info = self._potrf(work.T, lower=0, overwrite_a=1)
            if not info and not np.isnan(upper.trace()):  # without AVX2, LAPACK lets a NaN pivot pass
                return upper.T
        return np.full_like(matrix, np.nan)

    def solve_triangular(self, lower: Array, rhs: Array, *, transpose: bool = False) -> Array:
        # lower.T is Fortran-ordered and upper triangular: BLAS takes it without a copy.
        return self._trsm(1.0, lower.T, rhs, lower=0, trans_a=not transpose)

    def inverse(self, matrix: Array) -> Array:
        try:
            return np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            return np.full_like(matrix, np.nan)

    def erf(self, x: Array) -> Array:
        return scipy.special.erf(x)

    def affine(self, x: Array, weight: Array, bias: Array | None) -> Array:
        y = x @ weight.T
        if bias is not None:
            y += bias
        return y

    def add_scaled(self, x: Array, scale: Array | float, y: Array, *, spare: bool = False) -> Array:
        result = scale * y
        result += x
        return result

    def scatter(self, columns: Array, window: Window, sizes: tuple[int, int]) -> Array:
        return scatter_in_place(np, columns, window, sizes)

    def describe(self) -> dict[str, str]:
        return {"numpy": np.__version__, "scipy": scipy.__version__}
