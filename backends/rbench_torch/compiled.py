"""PyTorch with whole steps compiled by Inductor, the compiler of `torch.compile`."""

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch._inductor
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from rbench.backend import Array
from rbench.errors import BackendError
from rbench_torch.backend import TorchBackend, factor
from rbench_torch.precision import float32_products


class CompiledTorchBackend(TorchBackend):
    """PyTorch whose compiled functions are one graph each, whatever Python they are written in.

    A function is traced and compiled at the first call with each structure and shapes of its arguments. The compiled
    code is kept until the process ends, not longer, so that the time to compile does not depend on what ran before:
    making a backend sets TORCHINDUCTOR_CACHE_DIR in the process. Set it yourself to keep the code.
    """

    def __init__(self, dtype: str = "float32", device: str = "cpu") -> None:
        super().__init__(dtype, device)
        self.eager = False
        if self.native_device.type == "cpu":
            try:
                cpp_builder.get_cpp_compiler()
            except InvalidCxxCompiler:
                raise BackendError(
                    "backend 'torch[compile=true]' needs a C++ compiler on the CPU; install g++, "
                    "or name another with the environment variable CXX"
                ) from None
        _forget_at_exit()

    def compile(self, function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
        return _Compiled(function, static, self._number)

    def cholesky(self, matrix: Array, shift: Array | float = 0.0) -> Array:
        return _cholesky(matrix, torch.as_tensor(shift, dtype=matrix.dtype, device=matrix.device))

    def add_scaled(self, x: Array, scale: Array | float, y: Array, *, spare: bool = False) -> Array:
        # Not torch.add(x, y, alpha=scale): where x is a matrix product, Inductor of PyTorch 2.13 computes x + y.
        return x + scale * y

    def gram(self, vectors: Array) -> Array:
        # One product: in a graph, assigning to a part makes a whole new array.
        return vectors @ vectors.T

    def _number(self, value: float) -> Array:
        return torch.full((), value, dtype=self.float_dtype, device=self.native_device)


class _Compiled:
    """A pure function, compiled for each structure, shape and layout of its arguments.

    Numbers among them become arrays, so that another rate needs no new graph.
    """

    def __init__(self, function: Callable[..., Any], static: Sequence[str], number: Callable[[float], Array]) -> None:
        self._function = function
        self._static = tuple(static)
        self._number = number
        self._made: dict[Any, tuple[Callable[..., Any], Any]] = {}

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        fixed = {name: keywords.pop(name) for name in self._static if name in keywords}
        leaves, structure = tree_flatten((args, keywords))
        arrays = [self._number(leaf) if isinstance(leaf, float) else leaf for leaf in leaves if leaf is not None]
        given = tuple(leaf is not None for leaf in leaves)
        key = structure, given, *fixed.items(), *((array.shape, array.stride(), array.dtype) for array in arrays)
        with torch.no_grad(), float32_products:
            if key not in self._made:
                self._made[key] = self._make(arrays, given, structure, fixed)
            compiled, returned = self._made[key]
            return tree_unflatten(compiled(*arrays), returned)

    def _make(
        self, arrays: list[Array], given: tuple[bool, ...], structure: Any, fixed: dict[str, Any]
    ) -> tuple[Callable[..., Any], Any]:
        """The compiled function from arrays to arrays, and the structure of its results."""
        returned = None

        def flat(*arrays: Array) -> list[Any]:
            nonlocal returned
            rest = iter(arrays)
            args, keywords = tree_unflatten([next(rest) if there else None for there in given], structure)
            results, returned = tree_flatten(self._function(*args, **keywords, **fixed))
            return list(results)

        # Trace with new, empty arrays: an array that this call gives twice may be two arrays in the next.
        with FakeTensorMode(allow_non_fake_inputs=True), warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):  # Inductor uses what PyTorch deprecates
                warnings.simplefilter("ignore", category)
            examples = [torch.empty_strided(a.shape, a.stride(), dtype=a.dtype, device=a.device) for a in arrays]
            compiled = torch._inductor.compile(make_fx(flat)(*examples), examples)
        return compiled, returned


# One operation to the compiler: its retry depends on values, which a graph cannot express.
_cholesky = torch.library.custom_op(
    "rbench::cholesky", factor, mutates_args=(), schema="(Tensor matrix, Tensor shift) -> Tensor"
)
_cholesky.register_fake(lambda matrix, shift: torch.linalg.cholesky_ex(matrix)[0])


@cache
def _forget_at_exit() -> None:
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder = tempfile.mkdtemp(prefix="rbench-inductor-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
