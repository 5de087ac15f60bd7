"""A backend that returns before its work is done, and compiles first, by a clock that a test turns.

A call costs `LAUNCH` seconds of the host and `WORK` of the device.
"""

import time
from collections.abc import Sequence

import numpy as np

from rbench_numpy.backend import NumpyBackend

LAUNCH, WORK, COMPILING = 0.001, 0.02, 0.3
STEPS_PER_CALL = 10


class Watch:
    """The time of day, and until when the device has work."""

    def __init__(self):
        self.now = self.busy_until = 100.0

    def __call__(self):
        return self.now

    def queue(self, work):
        self.now += LAUNCH
        self.busy_until = max(self.now, self.busy_until) + work

    def wait(self):
        self.now = max(self.now, self.busy_until)


class RealWatch(Watch):
    """The same in real time."""

    def __init__(self):
        self.busy_until = 0.0

    def queue(self, work):
        self.busy_until = max(time.perf_counter(), self.busy_until) + work

    def wait(self):
        time.sleep(max(0.0, self.busy_until - time.perf_counter()))


class LaggingBackend(NumpyBackend):
    """NumPy whose every step is done `WORK` seconds after the one before."""

    name = "lagging"
    eager = False
    loops = False
    waits = True

    def __init__(self, dtype="float64", device=None, watch=None):
        super().__init__(dtype, device)
        self.watch, self.losses, self.loop_calls, self.params = watch, [], [], None

    def synchronize(self, arrays: Sequence = ()):
        if self.waits:
            self.watch.wait()

    def to_numpy(self, array):
        self.watch.wait()
        return super().to_numpy(array)

    def compile(self, function, static=()):
        if not static:  # batches and evaluations cost nothing here
            return function
        compiled = set()

        def queued(*arguments, **fixed):
            kind = (*fixed.values(), *(leaf.shape for leaf in leaves(arguments[:2])))
            if kind not in compiled:
                self.watch.now += COMPILING
            compiled.add(kind)
            result = function(*arguments, **fixed)
            self.watch.queue(WORK)
            self.losses.append(result.loss)
            self.params = result.params
            return result

        return queued

    def steps_per_call(self, net):
        return STEPS_PER_CALL if self.loops else 1

    def compile_loop(self, function):
        def loop(carry, items):
            if not self.loop_calls:
                self.watch.now += COMPILING
            count, results = len(leaves(items)[0]), []
            for index in range(count):
                carry, result = function(carry, mapped(lambda array, index=index: array[index], items))
                results.append(result)
            self.watch.queue(count * WORK)
            self.loop_calls.append(count)
            self.params = carry[0]
            losses, healths = zip(*results, strict=True)
            self.losses += losses
            return carry, (np.stack(losses), None if healths[0] is None else np.stack(healths))

        return loop


def mapped(function, tree):
    """The tree with a function of each of its arrays."""
    if isinstance(tree, dict):
        return {key: mapped(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        values = [mapped(function, value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else tuple(values)
    return None if tree is None else function(tree)


def leaves(tree):
    found = []
    mapped(found.append, tree)
    return found
