"""Where figures come from: software, hardware, and the source."""

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.errors import RbenchError, SpecError
from rbench.plugins import one_of, plugins, version_of
from rbench.probe import cuda_device
from rbench.spec import parse

if TYPE_CHECKING:
    from rbench.experiment import Cell

EVERYWHERE = ("numpy", "scipy", "array-api-compat", "memray")
"""Libraries that every backend's figures depend on."""

OTHERS = ("pandas", "pydantic", "optuna", "pytest-benchmark")
"""Libraries besides those and the backends' that runs use."""

NO_FIGURES = ("bundle", "cli", "report", "templates", "tune")
"""Parts of rbench that no figure depends on."""


def provenance() -> dict[str, Any]:
    """What a reader needs to repeat a figure, apart from the request itself.

    Returns:
        rbench's version and commit with a dirty flag (None where it does not run from a checkout), Python, library
        versions, sums of plugins that are files, CPU model and cores, memory in bytes, BLAS libraries with their
        threads, operating system.
    """
    import psutil
    import threadpoolctl

    import rbench

    owners = [*plugins().registered("backends").values(), *plugins().registered("methods").values()]
    libraries = dict.fromkeys([*EVERYWHERE, *chain.from_iterable(one.libraries for one in owners), *OTHERS])
    blas = [
        {key: pool.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
        for pool in threadpoolctl.threadpool_info()
    ]
    return {
        "rbench": rbench.__version__,
        "commit": _commit(Path(rbench.__file__).parent),
        "python": sys.version.split()[0],
        "libraries": {name: found for name in libraries if (found := _version(name))},
        "plugin_files": {file.name: file.sum for file in plugins().files.values()},
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "blas": blas,
        "system": platform.platform(),
    }


def installed() -> dict[str, str]:
    """Versions of the libraries of `provenance` and of all that these and rbench require, by name, in its order."""
    waiting = ["rbench", *provenance()["libraries"]]
    found: dict[str, str] = {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found and (at := _version(name)):
            found[name] = at
            own = [one for one in requires(name) or () if "extra ==" not in one]
            waiting += [match[0] for one in own if (match := re.match(r"[\w.-]+", one))]
    return dict(sorted((name, at) for name, at in found.items() if name != "rbench"))


def environment(cell: "Cell") -> dict[str, str]:
    """What two records must share to appear in one table, apart from the cell and its data.

    Files are read once, until `look_again`, so that a run notices when they change.

    Returns:
        rbench's version; a sum of the source of rbench (without `NO_FIGURES`) and of the packages or files that the
        cell's experiment, its parts such as task and method, a task's loss and a method's output metric, and its
        backend come from; the versions of Python, NumPy and its BLAS, SciPy, array-api-compat, memray, the backend's
        library and those that the experiment and the method name; the model of the CPU, and of the GPU where the cell
        runs on one. A missing plugin is `absent`.
    """
    found = _environment((("experiments", cell.name), *cell.specs, ("backends", cell.backend)), cell.device)
    return found | {name: _version(name) or "absent" for name in cell.libraries}


def look_again() -> None:
    """Read environments from disk again, as at the beginning of a run."""
    for function in (_source, _blas, _version, _cpu_model):
        function.cache_clear()


def _environment(asked: Iterable[tuple[str, str]], device: str | None) -> dict[str, str]:
    """What figures depend on of machine, libraries and source.

    Args:
        asked: kinds of plugins, and the SPECs that name them.
        device: the backend's name of the device, or None for its default.
    """
    import rbench

    found = {"rbench": rbench.__version__, "source of rbench": _source("rbench", "")}
    found |= {"python": sys.version.split()[0]}
    found |= {name: _version(name) or "absent" for name in EVERYWHERE}
    found |= {"blas": _blas(), "cpu": _cpu_model()}
    for kind, name, settings in _with_parts(asked):
        try:
            owner = plugins().find(kind, name)
        except RbenchError:
            found[f"{one_of(kind)} {name}"] = "absent"
            continue
        if kind == "methods":
            found |= {one: _version(one) or "absent" for one in owner.libraries_of(settings)}
        if kind == "backends":
            device = device or owner.devices[0]
            if not device.startswith("cpu"):
                found["device"] = cuda_device(int(device.partition(":")[2] or 0)) or "absent"
            found |= {one: at for one in owner.libraries if (at := _version(one))}
            found.setdefault(name, version_of(owner) or "absent")
            owner = owner.create
        if (file := plugins().file(kind, name)) is not None:
            found[f"source of {file.name}"] = file.sum
            continue
        package = owner.__module__.partition(".")[0]
        found[f"source of {package}"] = _source(package, owner.__module__)
    return found


def _with_parts(asked: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Kinds, names and settings of plugins that SPECs name: their own, a task's loss, and a method's output metric."""
    for kind, spec in asked:
        name, settings = parse(spec)
        yield kind, name, settings
        if kind == "methods" and isinstance(metric := settings.get("output_metric"), str):
            yield "output_metrics", metric, {}
        if kind == "tasks" and (task := plugins().registered(kind).get(name)):
            with suppress(SpecError):  # of a record whose settings a newer version refuses
                yield "losses", task.expand(settings)[0].loss, {}


@cache
def _source(package: str, module: str) -> str:
    """A sum of a package's Python files, or of the module alone where the package has no `__init__`.

    rbench's `NO_FIGURES` are left out.
    """
    file = getattr(sys.modules.get(package), "__file__", None) or getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return "unknown"
    path = Path(file)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    digest = hashlib.sha256()
    for one in files:
        name = one.relative_to(path.parent)
        if package != "rbench" or name.parts[0] not in NO_FIGURES:
            digest.update(f"{name.as_posix()}\n".encode() + one.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _blas() -> str:
    """The BLAS that NumPy was built with."""
    import numpy as np

    built: Any = np.show_config(mode="dicts")
    found = built.get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name')} {found.get('version')}"


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
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
                ["git", "--no-optional-locks", "-C", str(folder), *words],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An environment may lie inside some other checkout: only files that git tracks count as ours.
    if not git("ls-files", "--error-unmatch", "__init__.py"):
        return None
    return {"id": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
