"""Faults in runs: what becomes of cells when parents and workers are killed and records damaged, at random moments.

    python benchmarks/faults.py --faults 120 --seed 0

Prints a line a fault, and then a Markdown table of what was injected and what was lost. Ends with status 1 where a cell
was lost, duplicated or different, or a process outlived its parent.

    python benchmarks/faults.py --inputs

Gives odd inputs and hostile files to the command line, prints what each that does not hold does, and then a Markdown
table of how many were tried and held, by kind. Ends with status 1 where one does not hold.
"""

import argparse
import importlib
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rbench.run import read_records

FAULTS_A_RUN = 12
"""Into one directory, before it is judged and another begun."""


def load(name: str) -> Any:
    """A module that the tests share."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    return importlib.import_module(f"helpers.{name}")


def try_inputs() -> int:
    """Try every odd input, and print what held."""
    odd = load("odd_inputs")
    tried, held = Counter[str](), Counter[str]()
    for case in odd.CASES:
        with tempfile.TemporaryDirectory() as folder:
            wrong = odd.wrong(case, Path(folder))
        tried[case.kind] += 1
        held[case.kind] += not wrong
        if wrong:
            print(f"{str(case)!r}: {'; '.join(wrong)}", flush=True)
    print("\n| kind | inputs tried | held |\n|:--|--:|--:|")
    for kind, count in tried.items():
        print(f"| {kind} | {count} | {held[kind]} |")
    print(f"| all | {tried.total()} | {held.total()} |")
    return int(held != tried)


def main() -> int:
    """Inject faults until there are enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=120, help="how many at least")
    parser.add_argument("--seed", type=int, default=0, help="of their kinds and moments")
    parser.add_argument("--inputs", action="store_true", help="odd inputs and hostile files in place of faults")
    asked = parser.parse_args()
    if asked.inputs:
        return try_inputs()
    faults = load("faults")
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
