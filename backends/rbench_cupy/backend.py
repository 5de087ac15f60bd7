"""CuPy arrays; `cupyx.scipy` where the array standard has no function."""

from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat.cupy as xp
import cupy
import cupyx
import numpy as np
from cupyx.scipy.linalg import solve_triangular
from cupyx.scipy.special import erf

from rbench.arrays import laid_out
from rbench.backend import Array, Backend
from rbench.errors import BackendError
from rbench.sliding_window import Window, scatter_in_place


class CupyBackend(Backend):
    """CuPy at one dtype on one CUDA device, which becomes the process's current one.

    Memory comes from CuPy's pool. Products of float32 are computed in float32, unless the environment sets CUPY_TF32.
    """

    name = "cupy"
    xp = xp
    eager = False

    def __init__(self, dtype: str = "float32", device: str = "cuda") -> None:
        self.dtype = dtype
        self.device = device
        index = int(device.partition(":")[2] or 0)
        count = cupy.cuda.runtime.getDeviceCount()
        if index >= count:
            raise BackendError(f"backend 'cupy' has no device {device!r}: there are {count}, counted from cuda:0")
        self.native_device = cupy.cuda.Device(index)
        self.native_device.use()
        self._pool = cupy.get_default_memory_pool()

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        given = values if self.is_native(values) else laid_out(values)
        return cupy.asarray(given, dtype=self.float_dtype if dtype is None else dtype)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        return np.asarray(cupy.asnumpy(array))

    def is_here(self, array: Array) -> bool:
        return bool(array.device == self.native_device)

    def synchronize(self, arrays: Sequence[Array] = ()) -> None:
        self.native_device.synchronize()

    def compile(self, function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
        return function

    def cholesky(self, matrix: Array, shift: Array | float = 0.0) -> Array:
        for inflation in (1.0, 1 + 4 * len(matrix) ** 0.5 * self.epsilon):
            work = matrix.copy()
            cupy.fill_diagonal(work, (cupy.diagonal(matrix) + shift) * inflation)
            try:
                with cupyx.errstate(linalg="raise"):  # waits for the factor
                    lower = cupy.linalg.cholesky(work)
            except np.linalg.LinAlgError:
                continue
            lower += 0 * cupy.trace(lower)  # all NaN if a NaN pivot went unreported
            return lower
        return cupy.full_like(matrix, cupy.nan)

    def solve_triangular(self, lower: Array, rhs: Array, *, transpose: bool = False) -> Array:
        return solve_triangular(lower, rhs, trans=int(transpose), lower=True, check_finite=False)

    def inverse(self, matrix: Array) -> Array:
        try:
            with cupyx.errstate(linalg="raise"):
                return cupy.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            return cupy.full_like(matrix, cupy.nan)

    def erf(self, x: Array) -> Array:
        return erf(x)

    def scatter(self, columns: Array, window: Window, sizes: tuple[int, int]) -> Array:
        return scatter_in_place(cupy, columns, window, sizes)

    def device_bytes(self) -> int | None:
        return int(self._pool.used_bytes())

    def peak_device_bytes(self) -> int | None:
        """The size of the pool, which never shrinks: its largest use in whole blocks."""
        return int(self._pool.total_bytes())

    def free_bytes(self) -> int:
        return int(self.native_device.mem_info[0] + self._pool.free_bytes())

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, MemoryError | cupy.cuda.memory.OutOfMemoryError)

    def describe(self) -> dict[str, str]:
        properties = cupy.cuda.runtime.getDeviceProperties(self.native_device.id)
        compute = cupy._core.get_compute_type(np.dtype(self.dtype)) if hasattr(cupy, "_core") else None
        return {
            "cupy": cupy.__version__,
            "device": properties["name"].decode(),
            "cuda": str(cupy.cuda.runtime.runtimeGetVersion()),
            "compute type": str(compute),
        }
