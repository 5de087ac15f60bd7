"""The equivalence gate: whether an array backend computes the same mathematics as a dense float64 oracle.

`rbench verify -b NAME` runs it. A plugin tests its backend with pytest in three lines:

    from rbench.testing import equivalence_tests

    test_equivalence = equivalence_tests("my-backend")
"""

from rbench.testing.case import TOLERANCE, Arrays, Case
from rbench.testing.equivalence import equivalence_tests
from rbench.testing.gate import Result, relative_error, verify
from rbench.testing.table import cases, short_cases

__all__ = [
    "TOLERANCE",
    "Arrays",
    "Case",
    "Result",
    "cases",
    "equivalence_tests",
    "relative_error",
    "short_cases",
    "verify",
]
