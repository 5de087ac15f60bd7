"""What the equivalence gate misses of something that is wrong."""

from rbench.testing import cases, short_cases, verify


def misses(backend, chosen):
    """The first miss of every check that has one; the check's cases behind it are left out, for one tells."""
    first = {}
    for case in chosen:
        if case.check not in first:
            (result,) = verify(backend, [case])
            first |= {} if result.passed else {case.check: result}
    return first


def telling(checks):
    """All cases of some checks, and one of every other."""
    return [case for case in cases() if case.check in checks or case in short_cases()]
