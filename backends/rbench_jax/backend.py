"""JAX arrays; `jax.lax.linalg` where the array standard has no function."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import erf

from rbench.arrays import read
from rbench.backend import Array, Backend, Convolutions
from rbench.errors import BackendError
from rbench.modules import Conv2d, Module
from rbench.sliding_window import Window, every
from rbench.threads import scipy_on_one_thread

_THREAD = threading.local()
"""Whether the thread is within `inference()`; reading this is quicker than JAX's configuration."""


class JaxConvolutions(Convolutions):
    """Cross-correlations by `lax.conv_general_dilated`, and their linear transposes."""

    def apply(self, images: Array, weight: Array, window: Window) -> Array:
        padding = [(window.padding, window.padding)] * 2
        return jax.lax.conv_general_dilated(images, weight, [window.stride] * 2, padding)

    def pull_images(self, cotangents: Array, weight: Array, window: Window, sizes: tuple[int, int]) -> Array:
        images = jax.ShapeDtypeStruct((cotangents.shape[0], weight.shape[1], *sizes), cotangents.dtype)
        (pulled,) = jax.linear_transpose(lambda x: self.apply(x, weight, window), images)(cotangents)
        return pulled

    def pull_weight(self, images: Array, cotangents: Array, window: Window) -> Array:
        shape = (cotangents.shape[1], images.shape[1], window.kernel, window.kernel)
        weight = jax.ShapeDtypeStruct(shape, images.dtype)
        (pulled,) = jax.linear_transpose(lambda w: self.apply(images, w, window), weight)(cotangents)
        return pulled

    def patches(self, images: Array, window: Window) -> Array:
        """Windows (n, channels · kernel², positions)."""
        count, channels, *sizes = images.shape
        edge = (window.padding,) * 2
        starts = range(window.kernel)
        padded = jnp.pad(images, ((0, 0), (0, 0), edge, edge))
        down, across = ([every(start, window.stride, window.positions(size)) for start in starts] for size in sizes)
        # Ten times as fast as `conv_general_dilated_patches`.
        cut = jnp.stack([padded[:, :, i, j] for i in down for j in across], axis=2)
        return jnp.reshape(cut, (count, channels * window.kernel**2, -1))


class JaxBackend(Backend):
    """JAX at one dtype on one device.

    JAX's configuration stays as the user has it, with one exception: arrays of float64 are truncated by whatever
    computes with them where `jax_enable_x64` is off, so making a backend of float64 switches that on in the process.
    Within `inference()`, and in compiled functions, there are 64-bit types whatever the dtype, which integer labels
    need, float32 products without TensorFloat-32, and one thread of SciPy's BLAS, whose Cholesky JAX uses on a CPU.
    """

    name = "jax"
    xp = jnp
    eager = False
    convolutions = JaxConvolutions()

    def __init__(self, dtype: str = "float32", device: str = "cpu") -> None:
        if dtype == "float64":
            jax.config.update("jax_enable_x64", True)
        self.dtype = dtype
        self.device = device
        kind, _, index = device.partition(":")
        devices = jax.devices(kind)
        if int(index or 0) >= len(devices):
            raise BackendError(f"backend 'jax' has no device {device!r}: there are {len(devices)}, from {kind}:0 on")
        self.native_device = devices[int(index or 0)]

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        dtype = self.float_dtype if dtype is None else dtype
        with jax.enable_x64(True):
            if isinstance(values, jax.Array):
                return jax.device_put(values.astype(dtype), self.native_device)
            # A copy: JAX may share the memory of a NumPy array, and would see the caller's later changes.
            return jax.device_put(np.array(read(values, "the array"), dtype=dtype), self.native_device)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        return np.asarray(array)

    def is_native(self, values: Any) -> bool:
        return isinstance(values, jax.Array)

    def has_numbers(self, array: Array) -> bool:
        return not isinstance(array, jax.core.Tracer)

    def is_here(self, array: Array) -> bool:
        return not self.has_numbers(array) or bool(array.devices() == {self.native_device})

    def synchronize(self, arrays: Sequence[Array] = ()) -> None:
        jax.block_until_ready([*arrays, *jax.live_arrays()])

    @contextmanager
    def inference(self) -> Iterator[None]:
        around = getattr(_THREAD, "as_meant", False)
        _THREAD.as_meant = True
        try:
            with jax.enable_x64(True), jax.default_matmul_precision("highest"), scipy_on_one_thread:
                yield
        finally:
            _THREAD.as_meant = around

    def compile(self, function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
        return self._as_meant(jax.jit(function, static_argnames=tuple(static)))

    def compile_loop(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self._as_meant(jax.jit(lambda carry, items: jax.lax.scan(function, carry, items)))

    def steps_per_call(self, net: Module) -> int:
        # Within a loop XLA's convolutions on a CPU are tens of times slower, and a call is short beside such steps.
        return 1 if any(isinstance(layer, Conv2d) for layer in net.layers) else 10

    def cholesky(self, matrix: Array, shift: Array | float = 0.0) -> Array:
        return _cholesky(matrix, shift, 1 + 4 * len(matrix) ** 0.5 * self.epsilon)

    def solve_triangular(self, lower: Array, rhs: Array, *, transpose: bool = False) -> Array:
        return solve_triangular(lower, rhs, trans=int(transpose), lower=True)

    def inverse(self, matrix: Array) -> Array:
        inverse = jnp.linalg.inv(matrix)
        return jnp.where(jnp.all(jnp.isfinite(inverse)), inverse, jnp.full_like(inverse, jnp.nan))

    def erf(self, x: Array) -> Array:
        return erf(x)

    def outer_sums(self, one: Array, other: Array) -> Array:
        # Barriers keep the order of axes in memory: XLA would choose another, and multiply several times as long.
        one, other = jax.lax.optimization_barrier((one, other))
        return jax.lax.optimization_barrier(jnp.matrix_transpose(one) @ other)

    def patches(self, images: Array, window: Window) -> Array:
        return self.convolutions.patches(images, window)

    def device_bytes(self) -> int | None:
        return self._memory().get("bytes_in_use")

    def peak_device_bytes(self) -> int | None:
        return self._memory().get("peak_bytes_in_use")

    def free_bytes(self) -> int:
        memory = self._memory()
        if "bytes_limit" not in memory:
            return super().free_bytes()
        return memory["bytes_limit"] - memory["bytes_in_use"]

    def is_out_of_memory(self, error: Exception) -> bool:
        on_device = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
        return isinstance(error, MemoryError) or on_device

    def describe(self) -> dict[str, str]:
        found = {"jax": jax.__version__}
        if self.native_device.platform != "cpu":
            found |= {"device": self.native_device.device_kind, "tf32": "off"}
        return found

    def _as_meant(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        """Run the function within `inference()`, unless the caller is: entering it costs a third of a short call."""

        def call(*args: Any, **keywords: Any) -> Any:
            if getattr(_THREAD, "as_meant", False):
                return compiled(*args, **keywords)
            with self.inference():
                return compiled(*args, **keywords)

        return call

    def _memory(self) -> dict[str, int]:
        """The device's own counters; empty for the CPU, which has none."""
        return self.native_device.memory_stats() or {}


@jax.jit  # type: ignore[untyped-decorator]
def _cholesky(matrix: Array, shift: Array | float, inflation: float) -> Array:
    """See `Backend.cholesky`; compiled by itself, for calls from outside of a compiled step."""

    def factor(inflation: Array | float) -> Array:
        diagonal = (jnp.diagonal(matrix) + shift) * inflation
        shifted = jnp.fill_diagonal(matrix, diagonal, inplace=False)
        return jax.lax.linalg.cholesky(shifted, symmetrize_input=False)

    def inflated() -> Array:
        lower = factor(inflation)
        return jnp.where(jnp.isnan(jnp.trace(lower)), jnp.nan, lower)

    lower = factor(1.0)
    # The trace checks every pivot: without AVX2, LAPACK lets a NaN pivot pass, and NaN may stay in its row.
    return jax.lax.cond(jnp.isnan(jnp.trace(lower)), inflated, lambda: lower)
