"""Plugins that are installed where only a test's own processes look."""

import os
from pathlib import Path


def install(folder, module, source, entry=None):
    """Install a module with an entry point, called like it or otherwise, into a folder; the environment to find it."""
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rbench]\n{entry or module} = {module}\n")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def install_faults(folder):
    """Install a copy of `fault_plugin.py`, whose methods leave and look for files in the same folder."""
    return install(folder, "rbench_faults", source("fault_plugin")) | {"FAULTS": str(folder)}


def source(name):
    """The text of a plugin beside this file."""
    return Path(__file__).with_name(f"{name}.py").read_text()
