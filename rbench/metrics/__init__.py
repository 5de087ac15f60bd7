"""Output metrics, masses, and the metric pulled back to the layers."""

from rbench.metrics.mass import DiagonalMass, KroneckerMass, Mass, layer_masses
from rbench.metrics.output import OUTPUT_METRICS, OutputMetric, get_output_metric
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
    "OUTPUT_METRICS",
    "TREATMENTS",
    "DiagonalMass",
    "KroneckerMass",
    "LayerRows",
    "Mass",
    "OutputMetric",
    "Treatment",
    "get_output_metric",
    "gradient_blocks",
    "layer_masses",
    "pull_gradient",
    "pull_metric",
    "weight_product",
]
