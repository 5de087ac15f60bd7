"""`mnist-autoencoder`: the deep autoencoder on which second-order methods have been compared since 2006."""

from dataclasses import replace

from pydantic import Field

from rbench.backend import Backend
from rbench.modules import Module, Params
from rbench.modules.module import Scheme
from rbench.tasks.base import BatchSize, Target, Task
from rbench.tasks.dataset import Dataset
from rbench.tasks.mnist import N_DATA, SIDE, load_idx
from rbench.tasks.networks import Activation, Widths, mlp


class MnistAutoencoder(Task):
    """Reproduce MNIST's images through a narrow code (Hinton and Salakhutdinov 2006; Martens and Grosse 2015).

    The narrowest hidden layer (the first of them) is the code, which is linear; outputs are the logits of independent
    Bernoulli pixels, with y = x.

    Attributes:
        hidden: sizes of the hidden layers, including the code.
        activation: between the layers, but not after the code.
        init: scheme of the initial weights; with `glorot` the code hardly affects the outputs at first.
    """

    name = "mnist-autoencoder"
    summary = "deep autoencoder of MNIST's images with a linear code of 30 numbers"
    loss = "binary_cross_entropy"
    epochs = 2
    target = Target("test_squared_error", 10.0)
    batch_size: BatchSize = 500
    hidden: Widths = Field((1000, 500, 250, 30, 250, 500, 1000), min_length=1)
    activation: Activation = "tanh"
    init: Scheme = "lecun"

    def network(self) -> Module:
        code = self.hidden.index(min(self.hidden))
        encoder = mlp((SIDE * SIDE, *self.hidden[: code + 1]), self.activation)
        return encoder >> mlp((*self.hidden[code:], SIDE * SIDE), self.activation)

    def initial(self, network: Module, backend: Backend, seed: int) -> Params:
        return network.init(backend, seed, self.init)

    def data_bytes(self) -> int:
        return N_DATA * SIDE * SIDE * 4

    def load(self, allow_unofficial: bool) -> Dataset:
        data = load_idx("mnist", allow_unofficial)
        return replace(data, y_train=data.x_train, y_test=data.x_test)
