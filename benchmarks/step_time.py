"""Seconds of a training step over a step of SGD's, timed in turn in one process.

    OPENBLAS_NUM_THREADS=2 python benchmarks/step_time.py --sizes 784,1024,1024,10 --method adam

Prints a Markdown table: the median step, and the median of the ratios pair by pair with their quartiles.
"""

import argparse

import numpy as np

from rbench.losses import get_loss
from rbench.methods import Batch, Problem
from rbench.plugins import get_backend
from rbench.run.cell import configured
from rbench.run.clock import paired_seconds, timed
from rbench.tasks.networks import mlp

METHODS = [
    "sgd[momentum=0]",
    "sgd",
    "adam",
    "riemannian[output_metric=true_vs_rest]",
    "riemannian[output_metric=ggn_mc]",
    "riemannian[output_metric=ggn,batch=mean]",
    "riemannian[output_metric=ggn]",
    "kfac",
]


def main() -> None:
    """Time the methods that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="784,1024,1024,10", help="sizes of the layers of a tanh network")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--reference", default="sgd", help="SPEC of the method that the others are divided by")
    parser.add_argument("--method", action="append", help="SPEC; may be given more than once")
    parser.add_argument("--pairs", type=int, default=25)
    options = parser.parse_args()
    sizes = tuple(map(int, options.sizes.split(",")))
    backend = get_backend(options.backend)
    problem = Problem(backend, mlp(sizes, "tanh"), get_loss("cross_entropy"))
    params = problem.net.init(backend, seed=0)
    numbers = np.random.default_rng(0)
    x = backend.asarray(numbers.random((options.batch, sizes[0])))
    y = backend.labels(numbers.integers(0, sizes[-1], options.batch))

    def stepper(spec: str) -> object:
        (method,) = configured("methods", spec)
        noise = problem.loss.noise(numbers, options.batch, max(1, method.samples), sizes[-1])
        batch = Batch(x, y, backend.asarray(noise))
        state, scalars = method.init(problem, params), method.scalars(0, 100)
        return lambda: method.step(problem, params, state, batch, scalars, method.phase(0))

    reference = stepper(options.reference)
    timed(backend, reference)
    print(f"{options.sizes}, batch {options.batch}, {options.backend}, over {options.reference}\n")
    print("| method | step ms | ratio | quartiles |\n|---|--:|--:|--:|")
    for spec in options.method or METHODS:
        step = stepper(spec)
        timed(backend, step)
        own, other = paired_seconds(backend, step, reference, budget=20, pairs=options.pairs)
        low, middle, high = np.percentile(own / other, [25, 50, 75])
        print(f"| {spec} | {1e3 * np.median(own):.2f} | {middle:.2f} | {low:.2f}–{high:.2f} |")


if __name__ == "__main__":
    main()
