"""`synthetic`: tasks whose difficulty is known."""

from rbench.run.suite import Suite

SYNTHETIC = Suite(
    name="synthetic",
    summary="ill-conditioned regression, teacher and student, deep linear, two spirals, a sum of exponentials",
    entries=(),
)
