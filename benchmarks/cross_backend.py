"""The same training on several backends: how far their weights end apart, and their curves on one plot.

    python benchmarks/cross_backend.py numpy torch jax --plot cross-backend.png

Trains on the task `digits` with host-drawn weights, batches and samples, so that only rounding differs. Prints the
largest relative difference of parameters between any two backends in float64, and draws the losses in float32.
"""

import argparse
import itertools

import matplotlib.pyplot as plt
import numpy as np

from rbench.losses import get_loss
from rbench.methods import Problem
from rbench.plugins import get_backend
from rbench.train.batches import Batches
from rbench.train.cell import configured
from rbench.train.stepper import Stepper

METHODS = [
    "riemannian[output_metric=ggn_mc,lr=0.3,mass=1]",
    "kfac[lr=0.3,damping=1]",
    "adam[lr=0.03]",
]


def train(name: str, dtype: str, spec: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """All parameters after training, flat, and the loss of every step."""
    (task,), (method,) = configured("tasks", "digits"), configured("methods", spec)
    problem = Problem(get_backend(name, dtype=dtype), task.network(), get_loss(task.loss))
    stepper = Stepper(problem, method, Batches(problem, task.dataset(False), task.batch_size, seed=0))
    params = task.initial(problem.net, problem.backend, 0)
    state, losses = method.init(problem, params), []
    for index in range(steps):
        result = stepper.call(index, steps)(params, state)
        params, state = result.params, result.state
        losses.append(float(problem.backend.to_numpy(result.loss)))
    arrays = [problem.backend.to_numpy(block[key]).ravel() for block in params for key in sorted(block)]
    return np.concatenate(arrays), np.asarray(losses)


def main() -> None:
    """Compare the backends that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backends", nargs="+")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--plot", help="file for the curves")
    options = parser.parse_args()
    print("| method | largest relative difference in float64 | between | in float32 |\n|---|--:|---|--:|")
    figure, axes = plt.subplots(1, len(METHODS), figsize=(5 * len(METHODS), 4), sharey=True, layout="constrained")
    for axis, spec in zip(axes, METHODS, strict=True):
        worst = {}
        for dtype in ("float64", "float32"):
            ends = {name: train(name, dtype, spec, options.steps) for name in options.backends}
            apart = {
                pair: float(np.linalg.norm(ends[pair[0]][0] - ends[pair[1]][0]) / np.linalg.norm(ends[pair[0]][0]))
                for pair in itertools.combinations(options.backends, 2)
            }
            worst[dtype] = max(apart.items(), key=lambda item: item[1])
        print(f"| {spec} | {worst['float64'][1]:.1e} | {' – '.join(worst['float64'][0])} | {worst['float32'][1]:.1e} |")
        for (name, (_, losses)), (width, style) in zip(ends.items(), ((5, "-"), (2.5, "-"), (1, "--")), strict=False):
            axis.semilogy(losses, label=name, linewidth=width, linestyle=style)
        axis.set(title=spec, xlabel="step")
    axes[0].set_ylabel("loss of the batch, float32")
    axes[0].legend()
    if options.plot:
        figure.savefig(options.plot, dpi=110)


if __name__ == "__main__":
    main()
