"""The PyTorch backend, on the CPU and on CUDA devices."""

from rbench.backend import Backend, BackendPlugin
from rbench.hookspecs import hookimpl
from rbench.probe import cuda_problem, installed_version, package_folder, package_problem


def _create(dtype: str, device: str | None) -> Backend:
    from rbench_torch.backend import TorchBackend

    return TorchBackend(dtype, device or "cpu")


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
            "torch",
            _create,
            lambda: package_problem("torch", "pip install torch"),
            "PyTorch without autograd",
            devices=("cpu", "cuda"),
            version=lambda: installed_version("torch"),
            device_unavailable=_device_unavailable,
        )
    ]
