"""The table of cases of the equivalence gate."""

from functools import cache

from rbench.testing._algebra_cases import algebra_cases
from rbench.testing._array_cases import array_cases
from rbench.testing._method_cases import method_cases
from rbench.testing._metric_cases import metric_cases, solver_cases
from rbench.testing._network_cases import network_cases
from rbench.testing._registered_cases import registered_cases
from rbench.testing._saturated_cases import saturated_cases
from rbench.testing.case import Case


@cache
def cases() -> tuple[Case, ...]:
    """All cases, check by check, from a backend's functions up to whole methods; plugins' losses and metrics last."""
    return (*_built_in_cases(), *registered_cases())


@cache
def short_cases() -> tuple[Case, ...]:
    """The first case of every check; the tables put an informative one first.

    A plugin's losses and metrics are not among them: they do not decide whether a backend is trusted.
    """
    first: dict[str, Case] = {}
    for case in _built_in_cases():
        first.setdefault(case.check, case)
    return tuple(first.values())


@cache
def _built_in_cases() -> tuple[Case, ...]:
    groups = array_cases, algebra_cases, network_cases, metric_cases, solver_cases, method_cases, saturated_cases
    made = [case for group in groups for case in group()]
    checks = {check: index for index, check in enumerate(dict.fromkeys(case.check for case in made))}
    return tuple(sorted(made, key=lambda case: checks[case.check]))
