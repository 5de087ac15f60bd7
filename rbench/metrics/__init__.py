"""Output metrics and their registration, masses, and the metric pulled back to the layers."""

from rbench.hookspecs import hookimpl
from rbench.metrics.mass import DiagonalMass, KroneckerMass, Mass, layer_masses
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
from rbench.metrics.pullback import (
    TREATMENTS,
    LayerRows,
    Treatment,
    gradient_blocks,
    pull_gradient,
    pull_metric,
    weight_product,
)

__all__ = [
    "TREATMENTS",
    "DiagonalMass",
    "KroneckerMass",
    "LayerRows",
    "Mass",
    "OutputFactor",
    "OutputMetric",
    "Treatment",
    "get_output_metric",
    "gradient_blocks",
    "layer_masses",
    "pull_gradient",
    "pull_metric",
    "weight_product",
]


@hookimpl
def rbench_output_metrics() -> list[OutputMetric]:
    """Register the built-in output metrics."""
    return [Identity(), GGN(), SampledGGN(), TrueVsRest(), EmpiricalFisher()]
