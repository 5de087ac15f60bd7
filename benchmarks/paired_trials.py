"""A method beside others, trial by trial: `python benchmarks/paired_trials.py ROWS.csv [METHOD]`.

`rbench tune` tries the same points for all methods with the same search space. Each line compares the method with
another that has a rate, a damping (or mass) and a KL clip too, at the points whose damping is below 0.1 (9 of the first
16), at the rest, and at all: in how many trials its loss on the validation split is less, and the median of its ratio
to the other's.
"""

import sys

import numpy as np
import pandas as pd

from rbench.spec import parse

BOUND = 0.1
SHARED = {"lr", "kl_clip", "schedule"}


def point(spec: str) -> tuple[str, float, float, str]:
    """A trial's method with the settings that are held, and its rate, damping and KL clip."""
    name, settings = parse(spec)
    damping = "mass" if "mass" in settings else "damping"
    held = [f"{key}={value}" for key, value in settings.items() if key not in {*SHARED, damping}]
    method = f"{name}[{','.join(held)}]" if held else name
    return method, settings["lr"], settings.get(damping, np.nan), str(settings.get("kl_clip"))


def main(path: str, method: str = "kfac[decay=0]") -> None:
    """Print the comparisons as a table in Markdown."""
    rows = pd.read_csv(path)
    rows = rows[rows["seed"] == rows["seed"].min()]  # the others confirm some of the settings
    rows[["name", "lr", "damping", "kl_clip"]] = [point(spec) for spec in rows["method"]]
    rows = rows.dropna(subset="damping")
    losses = rows.assign(loss=rows["test_loss"].fillna(np.inf)).pivot(
        index=["task", "lr", "damping", "kl_clip"], columns="name", values="loss"
    )
    print(f"| task | damping | {method} against | its loss is less | median ratio |\n|:--|:--|:--|--:|--:|")
    for task, own in losses.groupby("task", sort=False):
        small = own.index.get_level_values("damping") < BOUND
        for words, here in ((f"below {BOUND}", own[small]), (f"from {BOUND} on", own[~small]), ("all", own)):
            for other in (name for name in losses if name != method):
                ratio = here[method] / here[other]
                print(f"| {task} | {words} | {other} | {(ratio < 1).sum()} of {len(ratio)} | {ratio.median():.2g} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
