"""The gate's process.

`python -m rbench.run.gate_worker NAME DTYPE [DEVICE]` writes what it found as JSON to standard output.
"""

import sys
from time import perf_counter

from rbench.errors import RbenchError
from rbench.plugins import get_backend
from rbench.run.gate import REFUSED, Gate
from rbench.testing import short_cases, verify


def check_backend(name: str, dtype: str, device: str | None) -> Gate:
    """Compute the short cases in this process.

    Raises:
        BackendError: the backend cannot run here.
    """
    start = perf_counter()
    backend = get_backend(name, dtype=dtype, device=device)
    results = verify(backend, short_cases())
    return Gate(
        backend=name,
        device=backend.device,
        dtype=dtype,
        cases=len(results),
        misses=tuple(str(result) for result in results if not result.passed),
        worst=max((result.error for result in results if result.passed), default=None),
        seconds=perf_counter() - start,
    )


def main() -> None:
    """Compute the short cases of the backend that the command line names."""
    try:
        found = check_backend(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
    except RbenchError as error:
        print(error, file=sys.stderr)
        raise SystemExit(REFUSED) from None
    print(found.model_dump_json())


if __name__ == "__main__":
    main()
