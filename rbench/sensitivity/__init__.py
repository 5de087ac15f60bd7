"""Sensitivity: how much the result of a method depends on its settings, over points that are spread evenly."""

from rbench.sensitivity.space import DIMENSIONS, coordinates, setting_names
from rbench.sensitivity.suite import SensitivitySuite

__all__ = ["DIMENSIONS", "SensitivitySuite", "coordinates", "setting_names"]
