"""The numbers do not depend on the processor: OpenBLAS with what it takes on another one."""

import os
import platform

import pytest

from helpers.command import python

SCRIPT = """
import sys
import rbench, scipy.linalg, threadpoolctl
from rbench.testing import cases, verify

print(*{library["architecture"] for library in threadpoolctl.threadpool_info() if "architecture" in library})
name, *checks = sys.argv[1:]
for dtype in ("float32", "float64"):
    backend = rbench.get_backend(name, dtype=dtype)
    chosen = [case for case in cases() if not checks or case.check in checks]
    for result in verify(backend, chosen):
        if not result.passed:
            print(result)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 processors")
@pytest.mark.parametrize("words", ["numpy", "jax cholesky"])
def test_the_gate_passes_with_the_blas_of_an_old_processor(words):
    pytest.importorskip(words.split()[0])
    environment = os.environ | {"OPENBLAS_CORETYPE": "Nehalem"}
    architectures, *missed = python(SCRIPT, *words.split(), env=environment).splitlines()
    if not architectures:
        pytest.skip("no OpenBLAS here")
    assert architectures == "Nehalem"
    assert missed == []
