"""What the equivalence gate misses of something that is wrong."""

from rbench.testing import cases, short_cases, verify


def misses(backend, chosen):
    """Checks with at least one miss, and the results that missed."""
    wrong = [result for result in verify(backend, chosen) if not result.passed]
    return {result.case.check for result in wrong}, wrong


def telling(checks):
    """All cases of some checks, and one of every other."""
    return [case for case in cases() if case.check in checks or case in short_cases()]
