"""The PyTorch backend, on the CPU and on CUDA devices."""

from typing import TYPE_CHECKING, Any, ClassVar

from rbench.backend import Backend, BackendPlugin
from rbench.hookspecs import hookimpl
from rbench.lazy import exports
from rbench.probe import cuda_problem, installed_version, package_folder, package_problem
from rbench.spec import Configurable

if TYPE_CHECKING:
    from rbench.methods import Method
    from rbench.modules import Module, Params

__all__ = ["load_params", "module_params", "to_module"]
__getattr__, __dir__ = exports(__name__, dict.fromkeys(__all__, "rbench_torch.networks.convert"))


class Options(Configurable):
    """Options of the backend.

    Attributes:
        compile: whether a step is compiled as a whole, by the compiler of `torch.compile`.
    """

    name: ClassVar[str] = "torch"
    summary: ClassVar[str] = "PyTorch without autograd"
    compile: bool = False


def _create(dtype: str, device: str | None, *, compile: bool) -> Backend:
    if compile:
        from rbench_torch.compiled import CompiledTorchBackend

        return CompiledTorchBackend(dtype, device or "cpu")
    from rbench_torch.backend import TorchBackend

    return TorchBackend(dtype, device or "cpu")


def _from_native(module: Any, shape: tuple[int, ...] | None) -> "tuple[Module, Params]":
    from rbench_torch.networks.tracing import from_torch

    return from_torch(module, shape)


def _device_unavailable(device: str) -> str | None:
    folder = package_folder("torch")
    if device != "cuda" or folder is None:
        return None
    if not any(folder.glob("lib/*torch_cuda.*")):
        return (
            f"PyTorch {installed_version('torch')} is a build without CUDA; "
            "install one with it, as https://pytorch.org/get-started says"
        )
    return cuda_problem()


@hookimpl
def rbench_backends() -> list[BackendPlugin]:
    """Register `torch`."""
    return [
        BackendPlugin(
            Options.name,
            _create,
            lambda: package_problem("torch", "pip install torch"),
            Options.summary,
            devices=("cpu", "cuda"),
            libraries=("torch",),
            device_unavailable=_device_unavailable,
            options=Options,
            preload="rbench_torch.backend",
            from_native=_from_native,
        )
    ]


@hookimpl
def rbench_methods() -> "list[type[Method]]":
    """Register `torch.optim`, and methods of other libraries on modules of PyTorch."""
    from rbench_torch.optimizers import TorchOptimizer
    from rbench_torch.peers.curvlinops import CurvlinopsKFAC
    from rbench_torch.peers.singd import SINGD

    return [TorchOptimizer, CurvlinopsKFAC, SINGD]
