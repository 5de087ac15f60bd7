"""Tasks whose network is chosen by name, and those of them that classify images."""

import math
from abc import abstractmethod
from typing import ClassVar, Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, model_validator

from rbench.backend import Backend
from rbench.errors import ShapeError
from rbench.modules import Flatten, Module, Params
from rbench.names import shown
from rbench.tasks.base import Task
from rbench.tasks.convnets import cnn, resnet8
from rbench.tasks.networks import Activation, Widths, mlp

Architecture: TypeAlias = Literal["mlp", "cnn", "resnet8"]
"""Networks by name; see `rbench.tasks.networks.mlp` and `rbench.tasks.convnets`."""

CLASSES = 10
_CONVOLUTIONAL = {"cnn": cnn, "resnet8": resnet8}


class NamedNetwork(Task):
    """A task whose network is chosen by name.

    Initial weights have variance 2 / fan_in (`he`) in networks with ReLUs, and Glorot's, 2 / (fan_in + fan_out), in
    others.

    Attributes:
        hidden: sizes of the hidden layers of `mlp`.
        activation: between the layers of `mlp`; the other networks have ReLUs.
        architecture: name of the network; its key in a SPEC is `network`.
    """

    model_config = ConfigDict(populate_by_name=True)
    hidden: Widths = (256, 128)
    activation: Activation = "tanh"
    architecture: Architecture = Field("mlp", alias="network")

    @abstractmethod
    def sizes(self) -> tuple[tuple[int, ...], int]:
        """The shape of a datum, and the number of outputs.

        Raises:
            DataError: the data cannot be read.
        """

    def network(self) -> Module:
        shape, outputs = self.sizes()
        if self.architecture == "mlp":
            return Flatten() >> mlp((math.prod(shape), *self.hidden, outputs), self.activation)
        if len(shape) != 3 or shape[1] != shape[2]:
            raise ShapeError(
                f"network={self.architecture} takes square images (channels, side, side), and data have shape {shape}"
            )
        return _CONVOLUTIONAL[self.architecture](shape[0], shape[1], outputs)

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


class ImageClassifier(NamedNetwork):
    """Classify images into ten classes.

    Attributes:
        image: channels, height and width.
    """

    loss = "cross_entropy"
    image: ClassVar[tuple[int, int, int]]

    def sizes(self) -> tuple[tuple[int, ...], int]:
        return self.image, CLASSES
