"""The NumPy backend: the reference, and the smallest example of a backend plugin."""

from rbench.backend import Backend, BackendPlugin
from rbench.hookspecs import hookimpl


def _create(dtype: str, device: str | None) -> Backend:
    from rbench_numpy.backend import NumpyBackend

    return NumpyBackend(dtype, device)


@hookimpl
def rbench_backends() -> list[BackendPlugin]:
    """Register `numpy`, which is always available."""
    return [
        BackendPlugin(
            "numpy",
            _create,
            lambda: None,
            "NumPy and SciPy on the CPU: the reference",
            libraries=("numpy",),
            preload="rbench_numpy.backend",
        )
    ]
