"""What rbench needs of an array library beyond the array API standard.

The core is written once against `xp`, the library's namespace in the form of the array API standard; a backend adds
what the standard lacks. Register one with the `rbench_backends` hook (see `rbench.hookspecs`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import psutil

from rbench import sliding_window
from rbench.sliding_window import Window

if TYPE_CHECKING:
    from rbench.modules import Module, Params
    from rbench.spec import Configurable

Array: TypeAlias = Any
"""An array of any library; layouts are stated in docstrings as (batch, rank, ...)."""

DTYPES = ("float32", "float64")


class Convolutions(Protocol):
    """A library's own cross-correlations, of images (n, channels, height, width), and their transposes."""

    def apply(self, images: Array, weight: Array, window: Window) -> Array:
        """The output images (n, out, rows, columns) for a weight (out, channels, kernel, kernel)."""

    def pull_images(self, cotangents: Array, weight: Array, window: Window, sizes: tuple[int, int]) -> Array:
        """Cotangents at images of height and width `sizes`, from cotangents (n, out, rows, columns)."""

    def pull_weight(self, images: Array, cotangents: Array, window: Window) -> Array:
        """Cotangent at the weight, summed over n images and all positions."""


def _device_usable(device: str) -> str | None:
    """The default of `BackendPlugin.device_unavailable`: every device can be used."""
    return None


@dataclass(frozen=True)
class BackendPlugin:
    """How a backend presents itself before its library is imported.

    Attributes:
        name: the name that it registers.
        create: makes the backend from a dtype name, a device name or None, and a keyword argument for each option; may
            import the library.
        unavailable: returns None where the backend can run, else the reason and the way out.
        summary: one line for `rbench list backends`.
        devices: names of the devices that the backend can be asked for, its default first; `cuda:1` asks for the second
            device of the kind `cuda`.
        dtypes: names of the floating dtypes that it offers.
        libraries: distributions of its library, whose versions are in the records; figures depend on them.
        version: returns the version of its library, None where that is not installed; by default, that of the first of
            `libraries` that is.
        device_unavailable: returns None where a device of `devices` can be used, else the reason and the way out.
        options: class of the settings in a SPEC such as `torch[compile=true]`, with the same `name`; None for none.
        preload: module whose import loads the library, starts no thread that outlives a fork and touches no device.
            Cells on the CPU are then forked from a process that has imported it; without it every cell imports the
            library anew.
        from_native: makes a network and its parameters of a network of the library and the shape of a datum or None, as
            `rbench.from_torch` does; None where the library has no networks.

    `unavailable`, `version` and `device_unavailable` answer at once: they do not import the library; `rbench.probe`
    helps.
    """

    name: str
    create: Callable[..., "Backend"]
    unavailable: Callable[[], str | None]
    summary: str
    devices: tuple[str, ...] = ("cpu",)
    dtypes: tuple[str, ...] = DTYPES
    libraries: tuple[str, ...] = ()
    version: Callable[[], str | None] | None = None
    device_unavailable: Callable[[str], str | None] = _device_usable
    options: "type[Configurable] | None" = None
    preload: str | None = None
    from_native: "Callable[[Any, tuple[int, ...] | None], tuple[Module, Params]] | None" = None


class Backend(ABC):
    """An array library at one floating dtype on one device.

    Attributes:
        name: the registered name, or the canonical SPEC of a backend with options.
        xp: namespace of the array API standard.
        dtype: name of the floating dtype, `float32` or `float64`.
        device: name of the device.
        native_device: the device in the library's own form, for the `device` of creation functions.
        eager: whether operations finish before they return, so that reading a value costs no waiting.
        convolutions: the library's own; None where products of `patches` are used.
    """

    name: str
    xp: Any
    dtype: str
    device: str
    native_device: Any = None
    eager: bool = True
    convolutions: Convolutions | None = None

    @property
    def float_dtype(self) -> Any:
        """The library's own dtype object for `dtype`."""
        return getattr(self.xp, self.dtype)

    @property
    def epsilon(self) -> float:
        """Relative spacing of `dtype`."""
        return float(np.finfo(self.dtype).eps)

    @property
    def itemsize(self) -> int:
        """Bytes per number."""
        return np.dtype(self.dtype).itemsize

    @abstractmethod
    def asarray(self, values: Any, dtype: Any = None) -> Array:
        """Bring NumPy or native values to the device, as `dtype` or else the backend's floating dtype.

        `rbench.arrays.laid_out` converts values that are not native, of any layout, to one that every library takes.
        """

    @abstractmethod
    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """Copy a native array, or whatever NumPy can read, to the host; waits for it."""

    @abstractmethod
    def synchronize(self, arrays: Sequence[Array] = ()) -> None:
        """Return only when all work that was queued, and that of `arrays`, is done."""

    @abstractmethod
    def compile(self, function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
        """Compile a pure function of arrays; arguments named in `static` are hashable and fixed at compile time."""

    @abstractmethod
    def cholesky(self, matrix: Array, shift: Array | float = 0.0) -> Array:
        """Lower Cholesky factor L, L Lᵀ = matrix + shift · I, reading only the lower half of a symmetric (n, n) matrix.

        If that is not positive definite in this dtype, its diagonal is inflated by its rounding level, to a_ii (1 + 4
        √n ε). If that fails too, the lower half is NaN, so that compiled code can go on and the caller sees it.
        """

    @abstractmethod
    def solve_triangular(self, lower: Array, rhs: Array, *, transpose: bool = False) -> Array:
        """Solve L x = rhs, or Lᵀ x = rhs, for lower triangular L of shape (n, n) and rhs of shape (n, k)."""

    @abstractmethod
    def inverse(self, matrix: Array) -> Array:
        """Inverse of an (n, n) matrix; filled with NaN where it is singular."""

    @abstractmethod
    def erf(self, x: Array) -> Array:
        """The error function, elementwise."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """What a reader needs to repeat a figure: library versions and the device's model."""

    def eigh(self, matrix: Array) -> tuple[Array, Array]:
        """Eigenvalues (n,), ascending, and eigenvectors (n, n), as columns, of a symmetric matrix.

        The values are NaN where the matrix is not finite, which LAPACK cannot handle.
        """
        xp = self.xp
        finite = xp.all(xp.isfinite(matrix))
        values, vectors = xp.linalg.eigh(xp.where(finite, matrix, xp.zeros_like(matrix)))
        return xp.where(finite, values, xp.full_like(values, float("nan"))), vectors

    def compile_loop(self, function: Callable[..., Any]) -> Callable[..., Any] | None:
        """Compile many calls of a pure function into one, or None if separate calls cost no more.

        Args:
            function: maps (carry, item) to (carry, result), the carry always of the same shapes.

        Returns:
            A function of (carry, items), the arrays of `items` with a leading axis of items, that returns the last
            carry and the results with a leading axis; it is compiled once for each number of items.
        """
        return None

    def steps_per_call(self, net: "Module") -> int:
        """Training steps of a network per call, by `compile_loop`; 1 if separate calls cost no more."""
        return 1

    def inference(self) -> AbstractContextManager[Any]:
        """A context in which the library has the settings that the backend needs, whatever the process has set.

        Nothing is recorded for differentiation. Settings of the whole process, such as the precision of products or the
        threads of a BLAS, are changed only here, and restored when it ends. The public functions, runs and the gate
        compute within it; so should code that calls methods of the backend directly.
        """
        return nullcontext()

    def affine(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """x Wᵀ + b, (n, out), for x (n, in), W (out, in) and b (out,) or None."""
        y = x @ weight.T
        return y if bias is None else y + bias

    def add_scaled(self, x: Array, scale: Array | float, y: Array, *, spare: bool = False) -> Array:
        """x + scale · y, for arrays of one shape: updates consist of it, so use one pass if the library has it.

        Where x is `spare`, not needed any more, its memory may hold the result.
        """
        return x + scale * y

    def gram(self, vectors: Array) -> Array:
        """All inner products of vectors (n, k): vectors vectorsᵀ, (n, n)."""
        return vectors @ vectors.T

    def outer_sums(self, one: Array, other: Array) -> Array:
        """Σ_t one[s, t] ⊗ other[s, t], (samples, a, b), for (samples, positions, a) and (samples, positions, b)."""
        return self.xp.permute_dims(one, (0, 2, 1)) @ other

    def patches(self, images: Array, window: Window) -> Array:
        """Windows (n, channels · kernel², positions) of images (n, channels, height, width)."""
        return sliding_window.patches(self.xp, images, window)

    def scatter(self, columns: Array, window: Window, sizes: tuple[int, int]) -> Array:
        """The transpose of `patches`: images (n, channels, *sizes), a pixel the sum of its entries in the windows."""
        return sliding_window.scatter(self.xp, columns, window, sizes)

    def device_bytes(self) -> int | None:
        """Device memory in use now, in bytes; None if the device uses host memory."""
        return None

    def peak_device_bytes(self) -> int | None:
        """Largest device memory in use since the process started, in bytes; None if the device uses host memory."""
        return None

    def free_bytes(self) -> int:
        """Memory that new arrays can take on the device, in bytes."""
        return int(psutil.virtual_memory().available)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether an error of the library says that memory ran out."""
        return isinstance(error, MemoryError)

    def is_native(self, values: Any) -> bool:
        """Whether values are an array of the library, on whatever device."""
        return isinstance(values, type(self.xp.empty(0)))

    def has_numbers(self, array: Array) -> bool:
        """Whether the numbers of a native array can be read; they cannot while a user's function is traced."""
        return True

    def is_here(self, array: Array) -> bool:
        """Whether a native array lies on the device."""
        return True

    def eye(self, size: int) -> Array:
        """The identity (size, size)."""
        return self.xp.eye(size, dtype=self.float_dtype, device=self.native_device)

    def labels(self, values: Any) -> Array:
        """Bring integer class labels (batch,) to the device, as int64."""
        return self.asarray(values, dtype=self.xp.int64)
