"""How a process that computes is set up."""

import platform

import pytest

from helpers.command import python

SCRIPT = """
import sys
from rbench.train.process import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
import resource, threading
import numpy as np

def use():
    np.ones(10_000_000)  # 80 MB

def faults():
    worker = threading.Thread(target=use)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    worker.start()
    worker.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's settings")
@pytest.mark.parametrize("how", ["kept", "given back"])
def test_freed_memory_of_any_size_is_used_again_by_any_thread(how):
    # As few as 40 where pages are of 2 MB.
    assert (int(python(SCRIPT, how)) < 20) == (how == "kept")
