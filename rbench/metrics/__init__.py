"""Output metrics and their registration, masses, and the metric pulled back to the layers."""

from rbench.hookspecs import hookimpl
from rbench.metrics.mass import AnyMass, DiagonalMass, FactoredMass, KroneckerMass, Mass, divided, layer_masses
from rbench.metrics.output import (
    GGN,
    EmpiricalFisher,
    Identity,
    OutputFactor,
    OutputMetric,
    SampledGGN,
    TrueVsRest,
    get_output_metric,
)
from rbench.metrics.product import flattened, metric_product, unflattened
from rbench.metrics.pullback import TREATMENTS, Batch, Problem, Treatment, pull_gradient, pull_metric

__all__ = [
    "TREATMENTS",
    "AnyMass",
    "Batch",
    "DiagonalMass",
    "FactoredMass",
    "KroneckerMass",
    "Mass",
    "OutputFactor",
    "OutputMetric",
    "Problem",
    "Treatment",
    "divided",
    "flattened",
    "get_output_metric",
    "layer_masses",
    "metric_product",
    "pull_gradient",
    "pull_metric",
    "unflattened",
]


@hookimpl
def rbench_output_metrics() -> list[OutputMetric]:
    """Register the built-in output metrics."""
    return [Identity(), GGN(), SampledGGN(), TrueVsRest(), EmpiricalFisher()]
