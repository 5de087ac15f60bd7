"""The networks whose steps are measured, by name."""

import re
from functools import lru_cache

from rbench.errors import SpecError
from rbench.modules import Module
from rbench.names import did_you_mean, shown

CONVNETS = ("cnn", "resnet8")
IMAGES, CLASSES = (3, 32, 32), 10
"""Channels, height and width of a convolutional network's inputs, and its outputs, as for CIFAR-10."""


@lru_cache(maxsize=64)
def network(name: str) -> tuple[Module, tuple[int, ...]]:
    """A network, and the shape of its input for one datum.

    Args:
        name: sizes of the layers of a tanh network, such as `784-256-128-10`, where `64x3` is 64 three times; or one
            of `CONVNETS`.

    Raises:
        SpecError: it is neither.
    """
    if name in CONVNETS:
        from rbench.tasks.convnets import cnn, resnet8

        return {"cnn": cnn, "resnet8": resnet8}[name](*IMAGES[:2], CLASSES), IMAGES
    size = r"[1-9]\d{0,17}(x[1-9]\d{0,17})?"
    if re.fullmatch(f"{size}(-{size})+", name, re.ASCII):
        from rbench.tasks.networks import MOST_LAYERS, mlp

        parts = [(int(width), int(times or 1)) for width, _, times in (p.partition("x") for p in name.split("-"))]
        layers = sum(times for _, times in parts) - 1
        if layers > MOST_LAYERS:
            raise SpecError(f"network {shown(name)} has {layers:,} layers; give at most {MOST_LAYERS:,}")
        sizes = [width for width, times in parts for _ in range(times)]
        return mlp(sizes, "tanh"), tuple(sizes[:1])
    raise SpecError(
        f"no network is called {shown(name)}{did_you_mean(name, CONVNETS)}; write the sizes of the layers of a tanh "
        f"network, such as 784-256-128-10, or one of {', '.join(CONVNETS)}"
    )
