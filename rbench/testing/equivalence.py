"""The equivalence gate as pytest tests, for authors of backends."""

from collections.abc import Callable, Sequence
from functools import cache

from rbench.errors import BackendError
from rbench.plugins import find_backend, get_backend, plugins
from rbench.spec import parse
from rbench.testing.case import Case
from rbench.testing.gate import verify
from rbench.testing.table import cases


def equivalence_tests(
    backend: str, *, dtypes: Sequence[str] | None = None, device: str | None = None
) -> Callable[[str, Case], None]:
    """A parametrised pytest function, one test for every case and dtype; name it `test_…` in a test module.

    Where the backend is unavailable, or has no such device, the tests are skipped with the reason.

    Args:
        backend: the registered name, or a SPEC with options.
        dtypes: floating dtypes; all that the plugin offers if None.
        device: the backend's name of a device; its default if None.

    Raises:
        PluginError: no backend is registered under that name.
    """
    import pytest

    chosen = plugins().find("backends", parse(backend)[0]).dtypes if dtypes is None else dtypes
    made = cache(lambda dtype: get_backend(backend, dtype=dtype, device=device))

    def test(dtype: str, case: Case) -> None:
        __tracebackhide__ = True
        (result,) = verify(made(dtype), [case])
        if not result.passed:
            pytest.fail(str(result), pytrace=False)

    table = []
    for dtype in chosen:
        try:
            find_backend(backend, dtype, device)
        except BackendError as error:
            table.append(
                pytest.param(dtype, None, id=f"{dtype}-unavailable", marks=pytest.mark.skip(reason=str(error)))
            )
        else:
            table += [pytest.param(dtype, case, id=f"{dtype}-{case}") for case in cases()]
    parametrised: Callable[[str, Case], None] = pytest.mark.parametrize(("dtype", "case"), table)(test)
    return parametrised
