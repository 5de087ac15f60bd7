"""What a plugin may register.

A plugin is a module named by an entry point in the group `rbench`; it holds functions with these names, marked with
`hookimpl`. Each returns a mapping from name to the thing registered. Keep the module's own imports light: a framework
is imported only when the thing is used.
"""

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from rbench.backend import BackendPlugin
    from rbench.methods.base import Method
    from rbench.run.suite import Suite
    from rbench.tasks.base import Task

GROUP = "rbench"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def rbench_backends() -> "dict[str, BackendPlugin]":  # type: ignore[empty-body]
    """Array backends: name to `rbench.backend.BackendPlugin`, which says how to make one and whether it can run."""


@hookspec
def rbench_methods() -> "dict[str, type[Method]]":  # type: ignore[empty-body]
    """Update rules: name to a subclass of `rbench.methods.Method`, whose fields are the keys of its SPEC."""


@hookspec
def rbench_tasks() -> "dict[str, type[Task]]":  # type: ignore[empty-body]
    """Tasks: name to a subclass of `rbench.tasks.Task`, whose fields are the keys of its SPEC."""


@hookspec
def rbench_suites() -> "dict[str, Suite]":  # type: ignore[empty-body]
    """Suites: name to `rbench.run.Suite`, the tasks, methods and budgets that `rbench run NAME` runs."""
