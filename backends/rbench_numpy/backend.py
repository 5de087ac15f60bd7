"""NumPy arrays; SciPy where the array standard has no function."""

from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import scipy.linalg.lapack
import scipy.special
from scipy.linalg.blas import dtrsm, strsm

from rbench.backend import Array, Backend, check_dtype
from rbench.errors import BackendError


class NumpyBackend(Backend):
    """NumPy at one dtype on the CPU."""

    name = "numpy"
    xp = xp

    def __init__(self, dtype: str = "float32", device: str | None = None) -> None:
        check_dtype(self.name, dtype)
        if device not in (None, "cpu"):
            raise BackendError(f"backend 'numpy' has no device {device!r}; it runs on 'cpu' alone")
        self.dtype, self.device = dtype, "cpu"
        self._potrf = scipy.linalg.lapack.spotrf if dtype == "float32" else scipy.linalg.lapack.dpotrf
        self._trsm = strsm if dtype == "float32" else dtrsm

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        return np.asarray(values, dtype=self.float_dtype if dtype is None else dtype)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        return np.asarray(array)

    def synchronize(self, arrays: Sequence[Array] = ()) -> None:
        """Nothing to wait for: NumPy returns when it is done."""

    def compile(self, function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
        return function

    def cholesky(self, matrix: Array) -> Array:
        # A symmetric C-ordered matrix is its own Fortran transpose, so LAPACK reads it without a copy of its own.
        upper, info = self._potrf(matrix.T, lower=0, clean=1)
        if info:
            inflated = matrix * (
                1 + 4 * matrix.shape[0] ** 0.5 * self.epsilon * np.eye(len(matrix), dtype=matrix.dtype)
            )
            upper, info = self._potrf(inflated.T, lower=0, clean=1)
        lower: Array = np.full_like(matrix, np.nan) if info else upper.T
        return lower

    def solve_triangular(self, lower: Array, rhs: Array, *, transpose: bool = False) -> Array:
        # lower.T is Fortran-ordered and upper triangular: BLAS takes it as it lies.
        return self._trsm(1.0, lower.T, rhs, lower=0, trans_a=not transpose)

    def inverse(self, matrix: Array) -> Array:
        try:
            return np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            return np.full_like(matrix, np.nan)

    def erf(self, x: Array) -> Array:
        return scipy.special.erf(x)

    def describe(self) -> dict[str, str]:
        return {"numpy": np.__version__, "scipy": scipy.__version__}
