"""Cells on many machines, the workers of a Dask cluster."""

from rbench.run.cluster.executor import Cluster

__all__ = ["Cluster"]
