"""Cells on many machines, the workers of a Dask cluster."""

from rbench.run.cluster.executor import ClusterExecutor
from rbench.run.cluster.security import Certificates

__all__ = ["Certificates", "ClusterExecutor"]
