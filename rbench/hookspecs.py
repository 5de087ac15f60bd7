"""What a plugin may register.

A plugin is a module named by an entry point in the group `rbench`; it holds functions with these names, marked with
`hookimpl`. Each returns a list of things that have a `name`. Keep the module's own imports light: a framework
is imported only when the thing is used.
"""

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from rbench.backend import BackendPlugin
    from rbench.experiment import Cell
    from rbench.losses import Loss
    from rbench.methods.base import Method
    from rbench.metrics import OutputMetric
    from rbench.run.suite import Suite
    from rbench.tasks.base import Task

GROUP = "rbench"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def rbench_backends() -> "list[BackendPlugin]":  # type: ignore[empty-body]
    """Array backends: `rbench.backend.BackendPlugin`s, which say how to make one and whether it can run."""


@hookspec
def rbench_losses() -> "list[Loss]":  # type: ignore[empty-body]
    """Losses: objects of subclasses of `rbench.losses.Loss`, each with a dense definition for the equivalence gate."""


@hookspec
def rbench_output_metrics() -> "list[OutputMetric]":  # type: ignore[empty-body]
    """Output metrics: objects of subclasses of `rbench.metrics.OutputMetric`, each with its dense definition."""


@hookspec
def rbench_methods() -> "list[type[Method]]":  # type: ignore[empty-body]
    """Update rules: subclasses of `rbench.methods.Method`, whose fields are the keys of their SPEC."""


@hookspec
def rbench_tasks() -> "list[type[Task]]":  # type: ignore[empty-body]
    """Tasks: subclasses of `rbench.tasks.Task`, whose fields are the keys of their SPEC."""


@hookspec
def rbench_experiments() -> "list[type[Cell]]":  # type: ignore[empty-body]
    """Kinds of experiments: subclasses of `rbench.experiment.Cell`, whose fields are the settings of a cell."""


@hookspec
def rbench_suites() -> "list[Suite]":  # type: ignore[empty-body]
    """Suites, what `rbench run NAME` runs: `rbench.run.TrainingSuite`s, `rbench.cost.CostSuite`s or others."""
