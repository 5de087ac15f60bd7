"""PyTorch tensors; `torch.linalg` where the array standard has no function."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch

from rbench.arrays import laid_out
from rbench.backend import Array, Backend, Convolutions
from rbench.errors import BackendError
from rbench.sliding_window import Window
from rbench_torch.precision import float32_products

GRAM_NUMBERS = 2**19
"""Below this many numbers in the vectors, all inner products at once are as quick as half of them in parts."""

GRAM_PIECE = 2**10
"""Numbers per piece of a long vector."""


class TorchConvolutions(Convolutions):
    """Cross-correlations by `torch.nn.functional.conv2d`, and their transposes."""

    def apply(self, images: Array, weight: Array, window: Window) -> Array:
        return torch.nn.functional.conv2d(images, weight, stride=window.stride, padding=window.padding)

    def pull_images(self, cotangents: Array, weight: Array, window: Window, sizes: tuple[int, int]) -> Array:
        # Pixels beyond the last window.
        rest = [(size + 2 * window.padding - window.kernel) % window.stride for size in sizes]
        return torch.nn.functional.conv_transpose2d(
            cotangents.contiguous(), weight, stride=window.stride, padding=window.padding, output_padding=rest
        )

    def pull_weight(self, images: Array, cotangents: Array, window: Window) -> Array:
        shape = (cotangents.shape[1], images.shape[1], window.kernel, window.kernel)
        return torch.nn.grad.conv2d_weight(
            images, shape, cotangents.contiguous(), stride=window.stride, padding=window.padding
        )


class TorchBackend(Backend):
    """PyTorch at one dtype on one device, without autograd.

    Within `inference()`, and in compiled functions, products of float32 are computed in float32: TensorFloat-32 is off.
    """

    name = "torch"
    xp = xp
    convolutions = TorchConvolutions()

    def __init__(self, dtype: str = "float32", device: str = "cpu") -> None:
        self.dtype = dtype
        self.device = device
        self.native_device = torch.device(device)
        self._on_cpu = self.eager = self.native_device.type == "cpu"
        if not self._on_cpu:
            count = torch.cuda.device_count()
            if (self.native_device.index or 0) >= count:
                raise BackendError(f"backend 'torch' has no device {device!r}: there are {count}, counted from cuda:0")

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        dtype = self.float_dtype if dtype is None else dtype
        if isinstance(values, torch.Tensor):
            return values.detach().to(self.native_device, dtype)
        # A copy: a tensor that shared its memory with the caller's array would change with it.
        return torch.tensor(laid_out(values), dtype=dtype, device=self.native_device)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        return array.detach().cpu().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)

    def is_here(self, array: Array) -> bool:
        here = array.device
        same_index = (here.index or 0) == (self.native_device.index or 0)
        return here.type == self.native_device.type and (self._on_cpu or same_index)

    def synchronize(self, arrays: Sequence[Array] = ()) -> None:
        if not self._on_cpu:
            torch.cuda.synchronize(self.native_device)

    @contextmanager
    def inference(self) -> Iterator[None]:
        # Not inference mode, so that results can be used with autograd afterwards.
        with torch.no_grad(), float32_products:
            yield

    def compile(self, function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            with torch.inference_mode(), float32_products:
                return function(*args, **keywords)

        return call

    def cholesky(self, matrix: Array, shift: Array | float = 0.0) -> Array:
        return factor(matrix, shift)

    def solve_triangular(self, lower: Array, rhs: Array, *, transpose: bool = False) -> Array:
        return torch.linalg.solve_triangular(lower.T if transpose else lower, rhs, upper=transpose)

    def inverse(self, matrix: Array) -> Array:
        inverse, info = torch.linalg.inv_ex(matrix)
        return torch.where(info == 0, inverse, torch.full_like(inverse, torch.nan))

    def erf(self, x: Array) -> Array:
        return torch.erf(x)

    def affine(self, x: Array, weight: Array, bias: Array | None) -> Array:
        return torch.nn.functional.linear(x, weight, bias)

    def add_scaled(self, x: Array, scale: Array | float, y: Array, *, spare: bool = False) -> Array:
        if isinstance(scale, torch.Tensor):
            return torch.addcmul(x, scale, y)
        return x.add_(y, alpha=scale) if spare else torch.add(x, y, alpha=scale)

    def gram(self, vectors: Array) -> Array:
        count = len(vectors)
        if not self._on_cpu or vectors.numel() < GRAM_NUMBERS:
            return vectors @ vectors.T
        # Long vectors in pieces: MKL takes an eighth longer for them whole.
        whole = vectors.shape[1] // GRAM_PIECE * GRAM_PIECE if vectors.shape[1] >= 4 * GRAM_PIECE else 0
        pieces = vectors[:, :whole].reshape(count, -1, GRAM_PIECE).transpose(0, 1)
        rest = vectors[:, whole:]
        # The lower half alone, a quarter of the columns at a time: PyTorch has no symmetric product.
        result = torch.empty(count, count, dtype=vectors.dtype)
        step = -(-count // 4)
        for start in range(0, count, step):
            stop = start + step
            products = rest[start:] @ rest[start:stop].T
            if whole:
                products += (pieces[:, start:] @ pieces[:, start:stop].mT).sum(0)
            result[start:stop, start:] = products.T
            result[start:, start:stop] = products
        return result

    def patches(self, images: Array, window: Window) -> Array:
        # Views copied once: `unfold` takes twice as long or more.
        padded = torch.nn.functional.pad(images, (window.padding,) * 4)
        views = padded.unfold(2, window.kernel, window.stride).unfold(3, window.kernel, window.stride)
        width = images.shape[1] * window.kernel**2
        return views.permute(0, 1, 4, 5, 2, 3).reshape(len(images), width, views.shape[2] * views.shape[3])

    def device_bytes(self) -> int | None:
        return None if self._on_cpu else torch.cuda.memory_allocated(self.native_device)

    def peak_device_bytes(self) -> int | None:
        return None if self._on_cpu else torch.cuda.max_memory_allocated(self.native_device)

    def free_bytes(self) -> int:
        if self._on_cpu:
            return super().free_bytes()
        held = torch.cuda.memory_reserved(self.native_device) - torch.cuda.memory_allocated(self.native_device)
        return int(torch.cuda.mem_get_info(self.native_device)[0] + held)

    def is_out_of_memory(self, error: Exception) -> bool:
        said = isinstance(error, RuntimeError) and any(w in str(error) for w in ("DefaultCPUAllocator", "ALLOC_FAILED"))
        return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or said

    def describe(self) -> dict[str, str]:
        found = {"torch": torch.__version__, "threads": str(torch.get_num_threads())}
        if not self._on_cpu:
            name = torch.cuda.get_device_name(self.native_device)
            found |= {"device": name, "cuda": str(torch.version.cuda), "tf32": "off"}
        return found


def factor(matrix: Array, shift: Array | float) -> Array:
    """See `Backend.cholesky`."""
    work = matrix.clone()
    work.diagonal().add_(shift)
    lower, info = torch.linalg.cholesky_ex(work)
    if info:  # on a GPU this waits for the factor
        work.diagonal().mul_(1 + 4 * len(matrix) ** 0.5 * torch.finfo(matrix.dtype).eps)
        lower, info = torch.linalg.cholesky_ex(work)
    return torch.full_like(lower, torch.nan) if info else lower
