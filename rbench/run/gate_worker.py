"""The gate's process.

`python -m rbench.run.gate_worker NAME DTYPE [DEVICE]` writes what it found as JSON to standard output.
"""

import os
import sys
from time import perf_counter

from rbench.errors import RbenchError
from rbench.plugins import get_backend
from rbench.run.child_process import answer_channel
from rbench.run.gate import Gate
from rbench.testing import short_cases, verify


def check_backend(name: str, dtype: str, device: str | None) -> Gate:
    """Compute the short cases in this process.

    Raises:
        BackendError: the backend cannot run here.
    """
    start = perf_counter()
    backend = get_backend(name, dtype=dtype, device=device)
    results = verify(backend, short_cases())
    errors: dict[str, float] = {}
    for result in results:
        if result.passed:
            errors[result.case.check] = max(result.error, errors.get(result.case.check, 0.0))
    return Gate(
        backend=name,
        device=backend.device,
        dtype=dtype,
        cases=len(results),
        misses=tuple(str(result) for result in results if not result.passed),
        worst=max(errors.values(), default=None),
        errors=tuple(errors.items()),
        seconds=perf_counter() - start,
    )


def main() -> None:
    """Compute the short cases of the backend that the command line names."""
    answer = answer_channel()
    found = Gate(backend=sys.argv[1], dtype=sys.argv[2], device=sys.argv[3] if len(sys.argv) > 3 else None)
    try:
        found = check_backend(found.backend, found.dtype, found.device)
    except RbenchError as error:
        found = found.model_copy(update={"refused": str(error)})
    os.write(answer, found.model_dump_json().encode())


if __name__ == "__main__":
    main()
