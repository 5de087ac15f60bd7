"""Settings that `rbench tune` found for a suite: its `tuned.json`, kept beside the suites as `tuned/NAME.json`."""

from pathlib import Path


def tuned(name: str) -> Path | None:
    """The file of a suite; None where no tune has been run for it yet."""
    path = Path(__file__).with_name("tuned") / f"{name}.json"
    return path if path.exists() else None
