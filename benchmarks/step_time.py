"""Seconds of a training step, and their ratio to another method's, timed in turn in one process.

    OPENBLAS_NUM_THREADS=2 python benchmarks/step_time.py --sizes 784,1024,1024,10 --method adam

Prints a Markdown table of medians. Data are random: they make no difference to the time.
"""

import argparse

import numpy as np

from rbench.losses import get_loss
from rbench.methods import Problem
from rbench.plugins import get_backend
from rbench.run.cell import configured
from rbench.run.feed import Feed
from rbench.run.process import keep_freed_memory
from rbench.run.step_time import side_by_side
from rbench.run.stepper import Stepper
from rbench.tasks import Dataset
from rbench.tasks.networks import mlp

METHODS = [
    "sgd",
    "adam",
    "riemannian[output_metric=true_vs_rest]",
    "riemannian[output_metric=ggn_mc]",
    "riemannian[output_metric=ggn,batch=mean]",
    "riemannian[output_metric=ggn]",
    "kfac[refresh=10]",
    "kfac[decay=0]",
    "kfac",
]
STEPS = 1000


def main() -> None:
    """Time the methods that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="784,1024,1024,10", help="sizes of the layers of a tanh network")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--device", help="the backend's own if left out")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--reference", default="sgd", help="SPEC of what the others are divided by")
    parser.add_argument("--method", action="append", help="SPEC; may be given more than once")
    options = parser.parse_args()
    keep_freed_memory()
    sizes = tuple(map(int, options.sizes.split(",")))
    backend = get_backend(options.backend, dtype=options.dtype, device=options.device)
    problem = Problem(backend, mlp(sizes, "tanh"), get_loss("cross_entropy"))
    numbers = np.random.default_rng(0)
    x, y = numbers.random((options.batch, sizes[0])), numbers.integers(0, sizes[-1], options.batch)
    feed = Feed(problem, Dataset(x, y, x, y, sha256=""), options.batch, seed=0)
    (reference,) = configured("methods", options.reference)
    where = f"{options.backend} {options.dtype} on {backend.describe().get('device', backend.device)}"
    print(f"{options.sizes}, batch {options.batch}, {where}, over {options.reference}\n")
    print("| method | step ms | ratio |\n|---|--:|--:|")
    for spec in options.method or METHODS:
        (method,) = configured("methods", spec)
        found = side_by_side(Stepper(problem, method, feed), problem.net.init(backend), STEPS, reference)
        print(f"| {spec} | {1e3 * found['step_seconds']:.2f} | {found['step_ratio_to_sgd']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
