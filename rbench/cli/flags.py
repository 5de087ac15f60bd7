"""The command line's words for what the library's messages name."""

import re

FLAGS = {
    "backends": "-b", "batch_size": "--batch-size", "budget": "--steps, --epochs, --seconds",
    "ca": "--tls-ca", "cert": "--tls-cert", "columns": "--columns", "devices": "--device",
    "directory": "directory with -o", "dtypes": "--dtype", "epochs": "--epochs", "evaluations": "--evaluations",
    "exact": "--cell", "finalists": "--finalists",
    "fixed": "--fix", "force": "--force", "jobs": "--jobs", "key": "--tls-key", "max_cells": "--max-cells",
    "methods": "--method", "points": "--points", "scheduler": "--scheduler", "seconds": "--seconds",
    "seeds": "--seeds", "steps": "--steps", "tasks": "--task", "threads": "--threads", "trials": "--trials",
    "tuned": "--tuned", "unofficial_data": "--unofficial-data",
}  # fmt: skip
"""What stands for each parameter that a message names in backquotes."""


def with_flags(message: str) -> str:
    """A message in which options stand for the library's parameters."""
    return re.sub(r"`(\w+)`", lambda name: FLAGS.get(name[1], name[0]), message)
