"""Methods in a training loop of a user's own, which computes the gradients and chooses the rates."""

from typing import Any

import numpy as np

from rbench.errors import SpecError
from rbench.methods.curved import Curved
from rbench.methods.preconditioned import Preconditioned
from rbench.metrics import Problem
from rbench.names import shown
from rbench.random import generator

LEFT_OUT = {
    "schedule": "your loop chooses the rates",
    **dict.fromkeys(("fit", "fit_damping", "trust"), "a fit takes the gradient of the loss, and here yours is taken"),
    "line_search": "it computes losses, and here your loop does",
}
"""Settings that a method has in a run alone, and why."""


def own_loop_method(kind: type[Curved], problem: Problem, settings: dict[str, Any]) -> Curved:
    """A method of a kind with settings that make sense where gradients and rates are given.

    Raises:
        SpecError: it has no such setting, or not here.
        MetricError, MassError: its metric or mass does not fit the problem.
    """
    for name, why in LEFT_OUT.items():
        if name in settings:
            raise SpecError(f"{kind.name}: {name}={shown(settings[name])}: leave it out: {why}")
    method = kind(**settings)
    method.check(problem)
    return method


def drawn_noise(
    problem: Problem, method: Curved, seed: int, step: int, size: int, outputs: int
) -> np.ndarray[Any, Any] | None:
    """The noise of a step on `size` data, as in a run with the seed; None where the step draws no samples."""
    samples = method.samples_in(method.phase(step))
    if not samples:
        return None
    return problem.loss.noise(generator(seed, "samples", step), size, samples, outputs)


def keeps_rows(method: Curved) -> bool:
    """Whether rows of a batch serve later steps, which then need batches of the same size."""
    return isinstance(method, Preconditioned) and method.refresh > 1 and method.rows is not False
