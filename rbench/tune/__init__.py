"""Tuning: equally many trials for every method on every task, on a validation split; the best run on new seeds."""

from rbench.tune.plan import Plan, Search
from rbench.tune.request import TuneRequest
from rbench.tune.session import rerun, search

__all__ = ["Plan", "Search", "TuneRequest", "rerun", "search"]
