"""A step with the exact `ggn` metric beside the same step on a Jacobian that automatic differentiation materialises.

    OMP_NUM_THREADS=2 python benchmarks/autodiff_jacobian.py torch jax

The other step is what one writes without layer-wise rows: every datum's Jacobian by `vmap` of `jacrev`, V = S J of each
layer, and Woodbury's identity with V Vᵀ. Both go on from the same weights. Prints a Markdown table of medians and how
far the two end apart after as many steps. Ours is timed ten times after each of theirs, and the first, which
finds the caches and the memory that a step of seconds left, is dropped.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from ours import Ours, parser

from rbench.methods import Riemannian
from rbench.plugins import get_backend
from rbench.train.clock import timed
from rbench.train.process import keep_freed_memory

RATE, MASS = 0.01, 0.1
STAGES, OURS = 3, 10


def outputs(tanh: Callable[[Any], Any], params: Any, x: Any) -> Any:
    """The network's outputs for one datum."""
    *inner, last = params
    for block in inner:
        x = tanh(block["weight"] @ x + block["bias"])
    return last["weight"] @ x + last["bias"]


def torch_stepper(params: Any, x: Any, y: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A step in PyTorch, and what returns the first layer's weight."""
    import torch

    logits = partial(outputs, torch.tanh)

    jacobians = torch.func.vmap(torch.func.jacrev(logits), in_dims=(None, 0))
    now = {"params": [dict(block) for block in params]}

    def step() -> Any:
        batch, probabilities = len(x), torch.softmax(torch.func.vmap(logits, (None, 0))(now["params"], x), dim=1)
        root = probabilities.sqrt()
        # S with SᵀS = diag(p) − p pᵀ: rows √p_k (e_k − p).
        factor = torch.diag_embed(root) - root[:, :, None] * probabilities[:, None, :]
        residual = (probabilities - torch.nn.functional.one_hot(y, probabilities.shape[1])) / batch
        changed = []
        for block, parts in zip(now["params"], jacobians(now["params"], x), strict=True):
            jacobian = torch.cat([parts["weight"].flatten(2), parts["bias"]], dim=2)
            gradient = torch.einsum("bk,bkn->n", residual, jacobian)
            v = (factor @ jacobian).flatten(0, 1) / batch**0.5
            capacitance = MASS * torch.eye(len(v), dtype=v.dtype, device=v.device) + v @ v.T
            inner = torch.cholesky_solve((v @ gradient)[:, None], torch.linalg.cholesky(capacitance))[:, 0]
            direction = (gradient - v.T @ inner) / MASS
            size = block["weight"].numel()
            weight = block["weight"] - RATE * direction[:size].reshape(block["weight"].shape)
            changed.append({"weight": weight, "bias": block["bias"] - RATE * direction[size:]})
        now["params"] = changed
        return changed[0]["weight"]

    return step, lambda: now["params"][0]["weight"]


def jax_stepper(params: Any, x: Any, y: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A jitted step in JAX, and what returns the first layer's weight."""
    import jax
    import jax.numpy as jnp

    logits = partial(outputs, jnp.tanh)

    @jax.jit
    def update(params: Any, x: Any, y: Any) -> Any:
        batch, probabilities = len(x), jax.nn.softmax(jax.vmap(logits, (None, 0))(params, x))
        root = jnp.sqrt(probabilities)
        factor = jax.vmap(jnp.diag)(root) - root[:, :, None] * probabilities[:, None, :]
        residual = (probabilities - jax.nn.one_hot(y, probabilities.shape[1])) / batch
        changed = []
        for block, parts in zip(params, jax.vmap(jax.jacrev(logits), (None, 0))(params, x), strict=True):
            flat = parts["weight"].reshape(*parts["bias"].shape[:2], -1)
            jacobian = jnp.concatenate([flat, parts["bias"]], axis=2)
            gradient = jnp.einsum("bk,bkn->n", residual, jacobian)
            v = (factor @ jacobian).reshape(-1, jacobian.shape[2]) / batch**0.5
            factored = jax.scipy.linalg.cho_factor(MASS * jnp.eye(len(v)) + v @ v.T)
            direction = (gradient - v.T @ jax.scipy.linalg.cho_solve(factored, v @ gradient)) / MASS
            size = block["weight"].size
            weight = block["weight"] - RATE * direction[:size].reshape(block["weight"].shape)
            changed.append({"weight": weight, "bias": block["bias"] - RATE * direction[size:]})
        return changed

    now = {"params": list(params)}

    def step() -> Any:
        now["params"] = update(now["params"], x, y)
        return now["params"][0]["weight"]

    return step, lambda: now["params"][0]["weight"]


STEPPERS = {"torch": (torch_stepper, "torch.func.jacrev"), "jax": (jax_stepper, "jitted jax.jacrev")}


def main() -> None:
    """Time the backends that the command line names."""
    command = parser(__doc__, STEPPERS, "784,256,128,10")
    command.add_argument("--dtype", default="float32")
    options = command.parse_args()
    keep_freed_memory()
    sizes = tuple(map(int, options.sizes.split(",")))
    print(f"{options.sizes}, batch {options.batch}, {options.dtype}\n")
    print("| backend | theirs | ours ms | theirs ms | theirs / ours | weights apart |\n|---|---|--:|--:|--:|--:|")
    for name in options.backends:
        backend = get_backend(name, dtype=options.dtype)
        method = Riemannian(output_metric="ggn", lr=RATE, mass=MASS, momentum=0.0)
        ours = Ours(backend, method, sizes, options.batch)
        make, title = STEPPERS[name]
        theirs, weight = make(ours.params, ours.x, ours.y)
        ours(), theirs()
        apart = ours.apart(weight())
        own, other = [], []
        for _ in range(STAGES):
            other.append(timed(backend, theirs)[0])
            own += [timed(backend, ours)[0] for _ in range(OURS)][1:]
        quick, slow = float(np.median(own)), float(np.median(other))
        figures = f"{1e3 * quick:.1f} | {1e3 * slow:.0f} | {slow / quick:.0f}"
        print(f"| {name} | {title} | {figures} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
