"""What is installed and what hardware there is, found without importing a framework.

Backend plugins use it to say whether they can run, and why not, at once.
"""

import ctypes
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path


def package_problem(package: str, install: str) -> str | None:
    """None where a package can be imported, else that it is missing and the command that installs it."""
    if find_spec(package) is not None:
        return None
    return f"the package {package!r} is not installed; install it with: {install}"


def package_folder(package: str) -> Path | None:
    """Where an installed package lies; None where it is not installed."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def installed_version(*distributions: str) -> str | None:
    """Version of the first of the distributions that is installed; None where none is."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


@cache
def cuda_problem() -> str | None:
    """None where the CUDA driver finds a device, else what is missing, in words that end in the way out."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1); use a machine with an NVIDIA GPU and its driver"
    count = ctypes.c_int(0)
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status == 0 and count.value > 0:
        return None
    why = f"the NVIDIA driver finds no device (CUDA error {status})" if status else "the NVIDIA driver finds no device"
    return f"{why}; check nvidia-smi and CUDA_VISIBLE_DEVICES"


def cuda_device(index: int) -> str | None:
    """Model of a CUDA device and the driver's version, such as `NVIDIA H200, CUDA 12.8`; None where there is none."""
    if cuda_problem() is not None:
        return None
    driver = ctypes.CDLL("libcuda.so.1")
    name = ctypes.create_string_buffer(256)
    number = ctypes.c_int()
    cuda = ctypes.c_int()
    if driver.cuDeviceGet(ctypes.byref(number), index) or driver.cuDeviceGetName(name, len(name), number):
        return None
    driver.cuDriverGetVersion(ctypes.byref(cuda))
    return f"{name.value.decode()}, CUDA {cuda.value // 1000}.{cuda.value % 1000 // 10}"
