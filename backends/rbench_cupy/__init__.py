"""The CuPy backend, on CUDA devices."""

from rbench.backend import Backend, BackendPlugin
from rbench.hookspecs import hookimpl
from rbench.probe import cuda_problem, package_problem

_DISTRIBUTIONS = ("cupy-cuda12x", "cupy-cuda13x", "cupy-cuda11x", "cupy")


def _create(dtype: str, device: str | None) -> Backend:
    from rbench_cupy.backend import CupyBackend

    return CupyBackend(dtype, device or "cuda")


def _unavailable() -> str | None:
    problems = package_problem("cupy", "pip install 'cupy-cuda12x[ctk]' (cupy-cuda13x for CUDA 13)"), cuda_problem()
    return "; ".join(problem for problem in problems if problem) or None


@hookimpl
def rbench_backends() -> list[BackendPlugin]:
    """Register `cupy`."""
    return [
        BackendPlugin(
            "cupy",
            _create,
            _unavailable,
            "CuPy with cuBLAS and cuSOLVER",
            devices=("cuda",),
            libraries=_DISTRIBUTIONS,
        )
    ]
