"""Plugins that are registered in this process, and backends that may not be here."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from rbench.errors import BackendError, PluginError
from rbench.hookspecs import hookimpl
from rbench.plugins import find_backend, get_backend, plugins


@contextmanager
def registered(**items):
    """A plugin with the items of every kind given, such as `methods=[Own]`."""
    hooks = {f"rbench_{kind}": hookimpl(lambda found=found: found) for kind, found in items.items()}
    plugin = SimpleNamespace(**hooks)
    plugins().manager.register(plugin)
    try:
        yield
    finally:
        plugins().manager.unregister(plugin)


def get_or_skip(name, dtype="float64"):
    """A backend; the test is skipped with the reason where it cannot be had."""
    try:
        return get_backend(name, dtype=dtype)
    except (BackendError, PluginError) as error:
        pytest.skip(str(error))


def why_not(name):
    """Why a backend cannot compute in float64 on the CPU; None where it can."""
    try:
        find_backend(name, "float64", "cpu")
    except BackendError as error:
        return str(error)
    return None
