"""Quasi-random points of a search space, by Optuna."""

import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

from rbench.errors import RbenchError
from rbench.methods import Choice, Dimension

Point: TypeAlias = dict[str, Any]
"""What was drawn for each setting: a number, or the index of a choice."""


def need_optuna() -> None:
    """Raise unless Optuna is installed.

    Raises:
        RbenchError: it is not; the message says how to install it.
    """
    if importlib.util.find_spec("optuna") is None:
        raise RbenchError("rbench tune needs Optuna; pip install 'rbench[tune]'")


def distributions(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """A space in Optuna's terms. A choice is its index, which both versions of Optuna's sampler spread evenly."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(0, len(dimension.values) - 1)
        if isinstance(dimension, Choice)
        else FloatDistribution(dimension.low, dimension.high, log=True)
        for name, dimension in space.items()
    }


def points(space: Mapping[str, Dimension], count: int, seed: int) -> list[Point]:
    """The first points of a scrambled Sobol sequence (Sobol 1967; Owen 1998) over a space.

    Spaces of equally many settings share the sequence in the unit cube: methods are tried at corresponding points. A
    power of two of points covers a space most evenly. The seed is of the scrambling.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn_from = distributions(space)

    class Sobol(optuna.samplers.QMCSampler):  # type: ignore[misc]
        # Optuna learns the space from the first trial, which it would draw at random.
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return drawn_from

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = Sobol(qmc_type="sobol", scramble=True, seed=seed)
    study = optuna.create_study(sampler=sampler)
    return [dict(study.ask(drawn_from).params) for _ in range(count)]
