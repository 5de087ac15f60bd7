"""The networks whose steps are measured, by name."""

import re

from rbench.errors import SpecError
from rbench.modules import Module

CONVNETS = ("cnn", "resnet8")
IMAGES = (3, 32, 32)
"""Channels, height and width of what a convolutional network takes: CIFAR-10's."""


def network(name: str) -> tuple[Module, tuple[int, ...]]:
    """A network, and the shape of a datum.

    Args:
        name: sizes of the layers of a tanh network, such as `784-256-128-10`, where `64x3` is 64 three times; or one
            of `CONVNETS`.

    Raises:
        SpecError: it is neither.
    """
    if name in CONVNETS:
        from rbench.tasks import convnets

        net: Module = getattr(convnets, name)(*IMAGES[:2])
        return net, IMAGES
    size = r"[1-9]\d*(x[1-9]\d*)?"
    if re.fullmatch(f"{size}(-{size})+", name):
        from rbench.tasks.networks import mlp

        parts = (part.split("x") for part in name.split("-"))
        sizes = [int(width) for width, *times in parts for _ in range(int(*times or (1,)))]
        return mlp(sizes, "tanh"), tuple(sizes[:1])
    raise SpecError(
        f"no network is called {name!r}; write the sizes of the layers of a tanh network, such as 784-256-128-10, "
        f"or one of {', '.join(CONVNETS)}"
    )
