"""Image classifiers: the common part of tasks on images of ten classes."""

import math
from typing import ClassVar, Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, model_validator

from rbench.backend import Backend
from rbench.modules import Flatten, Module, Params
from rbench.names import shown
from rbench.tasks.base import Task
from rbench.tasks.convnets import CLASSES, cnn, resnet8
from rbench.tasks.networks import Activation, Widths, mlp

Architecture: TypeAlias = Literal["mlp", "cnn", "resnet8"]
"""Networks by name; see `rbench.tasks.networks.mlp` and `rbench.tasks.convnets`."""

_CONVOLUTIONAL = {"cnn": cnn, "resnet8": resnet8}


class ImageClassifier(Task):
    """Classify images with a network that is chosen by name.

    Initial weights have variance 2 / fan_in (`he`) in networks with ReLUs, and Glorot's, 2 / (fan_in + fan_out), in
    others.

    Attributes:
        image: channels, height and width.
        hidden: sizes of the hidden layers of `mlp`.
        activation: between the layers of `mlp`; the other networks have ReLUs.
        architecture: name of the network; its key in a SPEC is `network`.
    """

    model_config = ConfigDict(populate_by_name=True)
    loss = "cross_entropy"
    image: ClassVar[tuple[int, int, int]]
    hidden: Widths = (256, 128)
    activation: Activation = "tanh"
    architecture: Architecture = Field("mlp", alias="network")

    def network(self) -> Module:
        if self.architecture == "mlp":
            return Flatten() >> mlp((math.prod(self.image), *self.hidden, CLASSES), self.activation)
        channels, side, _ = self.image
        return _CONVOLUTIONAL[self.architecture](channels, side)

    def initial(self, network: Module, backend: Backend, seed: int) -> Params:
        behind_relus = self.architecture != "mlp" or self.activation == "relu"
        return network.init(backend, seed, "he" if behind_relus else "glorot")

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if self.architecture == "mlp":
            return self
        for key in ("hidden", "activation"):
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} is a setting of network=mlp; leave it out for network={self.architecture}, "
                    f"to which {key}={shown(getattr(self, key))} was given"
                )
        return self
