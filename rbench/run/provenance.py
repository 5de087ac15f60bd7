"""Where figures come from: software, hardware, and the source's commit."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "numpy", "scipy", "array-api-compat", "torch", "jax", "jaxlib", "cupy", "cupy-cuda12x", "cupy-cuda13x", "pandas",
    "pydantic",
)  # fmt: skip


def provenance() -> dict[str, Any]:
    """What a reader needs to repeat a figure, apart from the request itself.

    Returns:
        rbench's version and commit with a dirty flag (None where it does not run from a checkout), Python, library
        versions, CPU model and cores, memory in bytes, BLAS libraries with their threads, operating system.
    """
    import psutil
    import threadpoolctl

    import rbench

    blas = [
        {key: pool.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
        for pool in threadpoolctl.threadpool_info()
    ]
    return {
        "rbench": rbench.__version__,
        "commit": _commit(Path(rbench.__file__).parent),
        "python": sys.version.split()[0],
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "blas": blas,
        "system": platform.platform(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _commit(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that holds `folder`, and whether tracked files differ from it."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An environment may lie inside some other checkout: only files that git tracks count as ours.
    if not git("ls-files", "--error-unmatch", "__init__.py"):
        return None
    return {"id": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
