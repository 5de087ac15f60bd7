"""Our SGD beside each framework's own, on one network: `torch.optim.SGD` with autograd, a jitted `optax.sgd` step.

    OMP_NUM_THREADS=2 python benchmarks/own_sgd.py torch jax

Prints a Markdown table of medians, timed in turn, and how far the two end apart after the same steps.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ours import Ours, parser

from rbench.methods import SGD
from rbench.plugins import get_backend
from rbench.train.clock import paired_seconds
from rbench.train.process import keep_freed_memory

RATE, MOMENTUM = 0.01, 0.9


def torch_stepper(params: Any, x: Any, y: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A step of `torch.optim.SGD` through autograd, and what returns the first layer's weight."""
    import torch

    linears = []
    for block in params:
        layer = torch.nn.Linear(*reversed(block["weight"].shape), device=x.device)
        with torch.no_grad():
            layer.weight.copy_(block["weight"])
            layer.bias.copy_(block["bias"])
        linears.append(layer)
    modules = [module for layer in linears for module in (layer, torch.nn.Tanh())][:-1]
    net = torch.nn.Sequential(*modules).to(x.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM)

    def step() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda: linears[0].weight.detach()


def jax_stepper(params: Any, x: Any, y: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A jitted step of `optax.sgd`, and what returns the first layer's weight."""
    import jax
    import jax.numpy as jnp
    import optax

    optimizer = optax.sgd(RATE, momentum=MOMENTUM)

    def loss_of(params: Any, x: Any, y: Any) -> Any:
        *inner, last = params
        for block in inner:
            x = jnp.tanh(x @ block["weight"].T + block["bias"])
        logits = x @ last["weight"].T + last["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    @jax.jit
    def update(params: Any, state: Any, x: Any, y: Any) -> Any:
        loss, gradient = jax.value_and_grad(loss_of)(params, x, y)
        change, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, change), state, loss

    now = {"params": params, "state": optimizer.init(params)}

    def step() -> Any:
        now["params"], now["state"], loss = update(now["params"], now["state"], x, y)
        return loss

    return step, lambda: now["params"][0]["weight"]


STEPPERS = {"torch": (torch_stepper, "torch.optim.SGD with autograd"), "jax": (jax_stepper, "jitted optax.sgd")}


def main() -> None:
    """Time the backends that the command line names."""
    command = parser(__doc__, STEPPERS, "784,1024,1024,10")
    command.add_argument("--device")
    options = command.parse_args()
    keep_freed_memory()
    sizes = tuple(map(int, options.sizes.split(",")))
    print(f"{options.sizes}, batch {options.batch}, float32\n")
    print("| ours | theirs | ours ms | theirs ms | ratio | weights apart |\n|---|---|--:|--:|--:|--:|")
    for name in options.backends:
        backend = get_backend(name, device=options.device)
        ours = Ours(backend, SGD(lr=RATE), sizes, options.batch)
        make, title = STEPPERS[name]
        theirs, weight = make(ours.params, ours.x, ours.y)
        for warm_up in (ours, theirs, ours, theirs):
            warm_up()
        own, other = paired_seconds(backend, ours, theirs, budget=20.0, pairs=200)
        apart = ours.apart(weight())
        figures = f"{1e3 * np.median(own):.2f} | {1e3 * np.median(other):.2f} | {np.median(own / other):.2f}"
        print(f"| {name} sgd | {title} | {figures} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
