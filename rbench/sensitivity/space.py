"""The dimensions of a sensitivity study, as settings of methods and tasks, and back."""

from typing import Any

from rbench.methods import Choice, LogUniform, Method
from rbench.methods.sobol import Point
from rbench.methods.space import DIGITS
from rbench.tasks import Task
from rbench.train.cell import Training

DIMENSIONS = ("rate", "mass", "momentum", "batch")
"""What is varied: η/m for a rate η and a mass m, or η where there is no mass; the mass, or K-FAC's damping; the
momentum, or Adam's β₁; and the data per batch.

With a large mass (m I + VᵀV)⁻¹g is g/m, so η/m is the rate of gradient descent, and varies less with m than η does.
"""

MOMENTA = LogUniform(0.01, 1)
"""1 − momentum: one over the steps that a velocity sums up."""

BATCHES = Choice(0.25, 0.5, 1, 2)
"""Times the task's own batch."""


def setting_names(method: Method) -> dict[str, str]:
    """The settings of a method, by dimension.

    A method that fits its rate and momentum has neither; one whose mass is no single number, or none, has no mass.
    """
    fits = getattr(method, "fit", "none") != "none"
    names: dict[str, list[str]] = {
        "rate": ["lr"],
        "mass": [name for name in ("mass", "damping") if name in method.searched],
        "momentum": [name for name in ("momentum", "beta1") if name in type(method).model_fields],
    }
    return {
        dimension: found[0]
        for dimension, found in names.items()
        if found and isinstance(getattr(method, found[0]), int | float) and not (fits and dimension != "mass")
    }


def placed(method: Method, task: Task, point: Point) -> tuple[Method, Task]:
    """A method and a task with the settings of a point; in dimensions that it lacks they keep their own."""
    names = setting_names(method)
    settings: dict[str, Any] = {}
    if "momentum" in point:
        settings[names["momentum"]] = round(1 - point["momentum"], DIGITS)
    if "mass" in point:
        settings[names["mass"]] = _short(point["mass"])
    if "rate" in point:
        mass = settings.get(names["mass"], getattr(method, names["mass"])) if "mass" in names else 1
        settings["lr"] = _short(point["rate"] * mass)
    if "batch" in point and task.batch_size is not None:
        task = task.changed(batch_size=max(1, round(BATCHES.setting(point["batch"]) * task.batch_size)))
    return method.changed(**settings), task


def coordinates(cell: Training) -> dict[str, float]:
    """Where a cell lies in each dimension that it has."""
    method, task = cell.make_method(), cell.make_task()
    found = {dimension: float(getattr(method, name)) for dimension, name in setting_names(method).items()}
    if "rate" in found:
        found["rate"] /= found.get("mass", 1)
    return found if task.batch_size is None else {**found, "batch": float(task.batch_size)}


def _short(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")
