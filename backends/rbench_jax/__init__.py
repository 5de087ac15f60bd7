"""The JAX backend, on the CPU and on CUDA devices."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from rbench.backend import Backend, BackendPlugin
from rbench.hookspecs import hookimpl
from rbench.lazy import exports
from rbench.probe import cuda_problem, installed_version, package_problem

if TYPE_CHECKING:
    from rbench.methods import Method

__all__ = ["to_function"]
__getattr__, __dir__ = exports(__name__, {"to_function": "rbench_jax.function"})


def _create(dtype: str, device: str | None) -> Backend:
    from rbench_jax.backend import JaxBackend

    return JaxBackend(dtype, device or "cpu")


def _device_unavailable(device: str) -> str | None:
    if device != "cuda":
        return None
    if not any(find_spec(f"jax_cuda{version}_plugin") for version in (12, 13)):
        return "JAX's CUDA plugin is not installed; install it with: pip install 'jax[cuda12]'"
    return cuda_problem()


@hookimpl
def rbench_backends() -> list[BackendPlugin]:
    """Register `jax`."""
    return [
        BackendPlugin(
            "jax",
            _create,
            lambda: package_problem("jax", "pip install jax"),
            "JAX, steps compiled by XLA",
            devices=("cpu", "cuda"),
            libraries=("jax", "jaxlib"),
            version=lambda: installed_version("jax"),
            device_unavailable=_device_unavailable,
            preload="rbench_jax.backend",
        )
    ]


@hookimpl
def rbench_methods() -> "list[type[Method]]":
    """Register `optax`, and methods of other libraries on functions of JAX."""
    from rbench_jax.optimizers import Optax
    from rbench_jax.peers.kfac_jax import KFACJax

    return [Optax, KFACJax]
