"""A method that takes as much memory as it is told; `test_memory.py` loads this file by its path in fresh processes."""

import numpy as np

from rbench import Linear, get_backend
from rbench.losses import get_loss
from rbench.methods import Method, Problem, Step
from rbench.tasks import Dataset
from rbench.train.batches import Batches
from rbench.train.stepper import Stepper

MIB = 2**20
KEPT, STEPS = [], []


class Hungry(Method):
    """Keeps `state` arrays of 8 MiB, and holds `work` more of them, or so many `objects` of Python's, during a step.

    In its third step it takes so many `buffers` of 8 MiB for good.
    """

    name = "hungry"
    summary = "takes memory"
    state: int = 0
    work: int = 0
    objects: int = 0
    buffers: int = 0
    every: int = 1
    predicted: int = 0

    def workspace_bytes(self, problem, params, datum, batch_size):
        return self.predicted * MIB, "its arrays"

    def _array(self, problem):
        return problem.backend.xp.ones((MIB,), dtype=problem.backend.xp.float64)

    def phase(self, step):
        return step % self.every == self.every - 1

    def init(self, problem, params):
        return tuple(self._array(problem) for _ in range(self.state))

    def step(self, problem, params, state, batch, scalars, phase):
        held = [self._array(problem) for _ in range(self.work if phase else 0)]
        numbers = list(map(float, range(self.objects)))
        STEPS.append(phase)
        KEPT.extend(self._array(problem) for _ in range(self.buffers if len(STEPS) == 3 else 0))
        loss = sum((array[0] for array in held), problem.backend.xp.zeros(()))
        return Step(params, state, loss + sum(numbers))


def hungry(backend="numpy", **settings):
    """The method's stepper, and its parameters."""
    problem = Problem(get_backend(backend, dtype="float64"), Linear(3, 2), get_loss("cross_entropy"))
    x, y = np.ones((6, 3)), np.zeros(6, dtype=np.int64)
    batches = Batches(problem, Dataset(x, y, x, y, sha256=""), 3, seed=0)
    return Stepper(problem, Hungry(**settings), batches), problem.net.init(problem.backend)
