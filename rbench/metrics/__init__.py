"""Output metrics, masses, and the metric pulled back to the layers."""

from rbench.metrics.mass import DiagonalMass, KroneckerMass, Mass, divided, layer_masses
from rbench.metrics.output import OUTPUT_METRICS, OutputMetric, get_output_metric
from rbench.metrics.pullback import (
    TREATMENTS,
    Treatment,
    gradient_blocks,
    pull_gradient,
    pull_metric,
)

__all__ = [
    "OUTPUT_METRICS",
    "TREATMENTS",
    "DiagonalMass",
    "KroneckerMass",
    "Mass",
    "OutputMetric",
    "Treatment",
    "divided",
    "get_output_metric",
    "gradient_blocks",
    "layer_masses",
    "pull_gradient",
    "pull_metric",
]
