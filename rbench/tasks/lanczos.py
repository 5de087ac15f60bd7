"""`lanczos`: a sum of exponentials, a classical problem of nonlinear least squares."""

from typing import Any

import numpy as np
from pydantic import Field

from rbench.modules import Exp, Linear, Module
from rbench.tasks.base import BatchSize, Target, Task
from rbench.tasks.dataset import Dataset, fingerprint

AMPLITUDES = (0.0951, 0.8607, 1.5576)
RATES = (1.0, 3.0, 5.0)
LAST = 1.15


class Lanczos(Task):
    """Fit f(x) = 0.0951 e⁻ˣ + 0.8607 e⁻³ˣ + 1.5576 e⁻⁵ˣ at x = 0, 0.05, …, 1.15 by Σ_i c_i exp(w_i x).

    The problem is Lanczos's (1956), and `Lanczos1` of the NIST Statistical Reference Datasets: very different
    parameters give nearly the same curve. It starts from Glorot weights instead of NIST's, all data are one batch, and
    the test set is the formula at the midpoints. Data are float64 (n, 1).

    Attributes:
        terms: number of exponentials.
        n_train: number of points on [0, 1.15].
    """

    name = "lanczos"
    summary = "sum of three exponentials, nonlinear least squares"
    loss = "squared_error"
    published = False
    epochs = 500
    target = Target("test_squared_error", 1e-4)
    batch_size: BatchSize = None
    terms: int = Field(3, ge=1)
    n_train: int = Field(24, ge=2)

    def network(self) -> Module:
        return Linear(1, self.terms, bias=False) >> Exp() >> Linear(self.terms, 1, bias=False)

    def data_bytes(self) -> int:
        return 8 * 2 * (2 * self.n_train - 1)

    def load(self, allow_unofficial: bool) -> Dataset:
        x = np.linspace(0, LAST, self.n_train)[:, None]
        middle = (x[1:] + x[:-1]) / 2
        y, y_middle = _curve(x), _curve(middle)
        return Dataset(x, y, middle, y_middle, fingerprint(x, y, middle, y_middle))


def _curve(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The sum of exponentials at x (n, 1), of the same shape."""
    curve: np.ndarray[Any, Any] = np.exp(-x * np.array(RATES)) @ np.array(AMPLITUDES)[:, None]
    return curve
