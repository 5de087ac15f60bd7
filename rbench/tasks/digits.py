"""`digits`: small handwritten digits that ship with scikit-learn."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import model_validator

from rbench.modules import Equilibrium, Linear, Module
from rbench.random import generator
from rbench.tasks.base import BatchSize, Target, Task
from rbench.tasks.dataset import Dataset, fingerprint
from rbench.tasks.networks import Activation, Widths, mlp

N_DATA, N_TEST = 1797, 360


class Digits(Task):
    """Classify 1797 images of 8×8 pixels, the test part of UCI's optical digits (Alpaydin and Kaynak 1998).

    Pixels are k/16 in [0, 1], float32 (n, 64); 360 images, drawn once and for all, are the test set.

    Attributes:
        hidden: sizes of the hidden layers.
        activation: between the layers.
        equilibrium: whether the one hidden layer is implicit, `rbench.Equilibrium`, whose activation is tanh.
    """

    name = "digits"
    summary = "scikit-learn's 8x8 digits, a real data set without a download"
    loss = "cross_entropy"
    published = False
    epochs = 20
    target = Target("test_accuracy", 0.95)
    batch_size: BatchSize = 64
    hidden: Widths = (64,)
    activation: Activation = "tanh"
    equilibrium: bool = False

    @model_validator(mode="after")
    def _an_equilibrium_is_one_layer(self) -> "Digits":
        if self.equilibrium and (len(self.hidden) != 1 or self.activation != "tanh"):
            raise ValueError("equilibrium=true is one hidden layer, with tanh: give one size and no activation")
        return self

    def network(self) -> Module:
        if self.equilibrium:
            (width,) = self.hidden
            return Equilibrium(64, width) >> Linear(width, 10)
        return mlp((64, *self.hidden, 10), self.activation)

    def data_bytes(self) -> int:
        return N_DATA * (64 * 4 + 8)

    def load(self, allow_unofficial: bool) -> Dataset:
        images, labels = _published()
        x, y = (images / 16).astype(np.float32), labels.astype(np.int64)
        order = generator(0, "split").permutation(len(x))
        test, train = np.sort(order[:N_TEST]), np.sort(order[N_TEST:])
        return Dataset(x[train], y[train], x[test], y[test], fingerprint(x, y))


def _published() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images and labels as `sklearn.datasets.load_digits` reads them, without its import, which takes seconds."""
    spec = find_spec("sklearn")
    file = Path(str(spec and spec.origin)).parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():  # a version that keeps them elsewhere
        from sklearn.datasets import load_digits

        found: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] = load_digits(return_X_y=True)
        return found
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1]
