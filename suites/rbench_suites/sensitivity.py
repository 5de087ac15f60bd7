"""`sensitivity`: how much depends on the rate, the mass, the momentum and the batch, metric by metric."""

from rbench.methods import LogUniform
from rbench.run import Entry
from rbench.sensitivity import SensitivitySuite

METRICS = ("identity", "ggn_mc", "true_vs_rest", "empirical_fisher")
METHODS = ("sgd", "adam", *(f"riemannian[output_metric={metric}]" for metric in METRICS), "kfac")
BY_CURVATURE = LogUniform(1e-2, 1e2)
"""Rates over the mass."""

SENSITIVITY = SensitivitySuite(
    name="sensitivity",
    summary="equally many points of every method over rate, mass, momentum and batch, on a validation split",
    entries=(Entry("digits", METHODS, epochs=10),),
    rates={
        "sgd": LogUniform(1e-3, 10),
        "adam": LogUniform(1e-4, 1),
        "riemannian": BY_CURVATURE,
        "naive": BY_CURVATURE,
        "kfac": BY_CURVATURE,
    },
    masses=LogUniform(1e-3, 10),
    points=16,
    seeds=1,
)
