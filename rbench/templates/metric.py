import numpy as np
from rbench import hookimpl
from rbench.metrics import OutputFactor, OutputMetric


class MyMetric(OutputMetric):
    name, summary = "my-metric", "the diagonal of the loss's Hessian"

    def rank(self, loss, d):
        return d

    # R (batch, rank, d) of the metric RᵀR at each datum's outputs z, through backend.xp.
    def factor(self, backend, loss, z, y, noise):
        diagonal = backend.xp.sum(loss.hessian_factor(backend, z) ** 2, axis=1)
        return OutputFactor(backend.xp.sqrt(diagonal)[:, :, None] * backend.eye(z.shape[1]))

    # The metric (d, d) at one datum's outputs, in NumPy: `rbench verify` compares both.
    def dense(self, loss, z, y, drawn):
        return np.diag(np.diag(loss.dense.hessian(z, y)))


@hookimpl
def rbench_output_metrics():
    return [MyMetric()]
