"""`regression`: ill-conditioned linear least squares."""

import numpy as np
from pydantic import Field

from rbench.modules import Linear, Module
from rbench.tasks.base import Target
from rbench.tasks.synthetic import Pair, Synthetic, orthogonal, spectrum


class Regression(Synthetic):
    """Fit y = C z + σ ε, given x = Q Λ^½ z with z ~ N(0, I), by one linear layer.

    Q is a random rotation, the inputs' covariance Q Λ Qᵀ has eigenvalues from 1 down to 1/condition, evenly spaced in
    their logarithm, and C_ij ~ N(0, 1/features): all eigendirections matter equally, the flat ones too. No fit has a
    squared error below σ² outputs.

    Attributes:
        features: size of x and z.
        outputs: size of y.
        condition: condition number of the inputs' covariance.
        noise: σ, where the signal's variance is 1.
    """

    name = "regression"
    summary = "ill-conditioned linear regression"
    loss = "squared_error"
    epochs = 20
    target = Target("test_squared_error", 0.06)
    features: int = Field(50, ge=1)
    outputs: int = Field(5, ge=1)
    condition: float = Field(1e4, ge=1)
    noise: float = Field(0.1, ge=0)

    def network(self) -> Module:
        return Linear(self.features, self.outputs)

    def data_bytes(self) -> int:
        datum = self.features + self.outputs
        return self.bytes_of(datum, self.features * datum)

    def draw(self, problem: np.random.Generator, data: np.random.Generator, n: int) -> Pair:
        rotation = orthogonal(problem, self.features)
        coefficients = problem.standard_normal((self.features, self.outputs)) / np.sqrt(self.features)
        z = data.standard_normal((n, self.features))
        x = (z * np.sqrt(spectrum(self.features, self.condition))) @ rotation.T
        return x, z @ coefficients + self.noise * data.standard_normal((n, self.outputs))
