"""Runs in one file: a bundle holds the records of a run and what is needed to repeat it; and several runs as one."""

from rbench.bundle.contents import Bundle, bundle, read_bundle
from rbench.bundle.merge import merge

__all__ = ["Bundle", "bundle", "merge", "read_bundle"]
