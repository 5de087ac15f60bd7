"""Faults in runs: what becomes of cells when parents and workers are killed and records damaged, at random moments.

    python benchmarks/faults.py --faults 120 --seed 0

Prints a line a fault, and then a Markdown table of what was injected and what was lost. Ends with status 1 where a cell
was lost, duplicated or different, or a process outlived its parent.
"""

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

from rbench.run import read_records

FAULTS_A_RUN = 12
"""Into one directory, before it is judged and another begun."""


def load() -> Any:
    """The module that the tests share."""
    path = Path(__file__).parents[1] / "tests" / "faults.py"
    spec = importlib.util.spec_from_file_location("faults", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["faults"] = module
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Inject faults until there are enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=120, help="how many at least")
    parser.add_argument("--seed", type=int, default=0, help="of their kinds and moments")
    asked = parser.parse_args()
    faults = load()
    hand = faults.Hand(asked.seed, lambda text: print(text, flush=True))
    with tempfile.TemporaryDirectory() as name:
        folder, rounds = Path(name), 0
        code, errors = faults.finish("run", *faults.SMALL, "-j", "2", "-o", folder / "undisturbed")
        if code:
            print(errors)
            return code
        undisturbed, _ = read_records(folder / "undisturbed")
        while hand.tally.injected.total() < asked.faults:
            rounds += 1
            most = min(FAULTS_A_RUN, asked.faults - hand.tally.injected.total())
            hand.round(folder / f"run-{rounds}", undisturbed, most)
            print(f"run {rounds}: {hand.tally.harm}", flush=True)
    print(f"\n| what | count |\n|:--|--:|\n| runs of {len(undisturbed)} cells | {rounds} |")
    for kind, count in {**hand.tally.injected, **{f"cells {k}": v for k, v in hand.tally.harm.items()}}.items():
        print(f"| {kind} | {count} |")
    return int(any(hand.tally.harm.values()))


if __name__ == "__main__":
    sys.exit(main())
