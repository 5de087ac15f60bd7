"""The networks of CIFAR-10 and MNIST by name."""

import numpy as np
import pytest

from rbench.errors import ShapeError, SpecError
from rbench.losses import get_loss
from rbench.methods import SGD, Problem
from rbench.plugins import get_backend
from rbench.tasks import Dataset
from rbench.tasks.cifar10 import Cifar10
from rbench.tasks.convnets import cnn, resnet8
from rbench.tasks.mnist import Mnist
from rbench.train.batches import Batches
from rbench.train.cell import configured
from rbench.train.stepper import Stepper

NETWORKS = {
    "cifar10[network=mlp]": 3072 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
    "cifar10[network=mlp,hidden=[]]": 3072 * 10 + 10,
    "cifar10[network=cnn]": (27 + 1) * 32 + (288 + 1) * 64 + (576 + 1) * 64 + (1024 + 1) * 10,
    "cifar10[network=resnet8]": (27 + 1) * 16
    + ((144 + 1) * 16 + 144 * 16 + 2 * 16)
    + ((144 + 1) * 32 + 288 * 32 + 2 * 32 + 16 * 32)
    + ((288 + 1) * 64 + 576 * 64 + 2 * 64 + 32 * 64)
    + (64 + 1) * 10,
    "mnist": 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
    "mnist[network=cnn]": (9 + 1) * 32 + (288 + 1) * 64 + (576 + 1) * 64 + (576 + 1) * 10,
    "mnist[network=resnet8]": 77722 - 2 * 9 * 16,
}


def make(spec):
    (task,) = configured("tasks", spec)
    return task


class TestNetworks:
    @pytest.mark.parametrize(("spec", "count"), NETWORKS.items())
    def test_ten_outputs_and_the_parameters_that_the_formula_says(self, spec, count):
        task = make(spec)
        assert task.network().out_space((task.image,)) == ((10,),)
        assert sum(layer.n_parameters for layer in task.network().layers) == count
        assert make(task.spec) == task

    @pytest.mark.parametrize("spec", NETWORKS)
    def test_a_first_step_is_finite_and_outputs_begin_of_order_one(self, spec):
        task, rng = make(spec), np.random.default_rng(1)
        x, y = rng.standard_normal((64, *task.image)).astype(np.float32), rng.integers(0, 10, 64)
        problem = Problem(get_backend("numpy", dtype="float32"), task.network(), get_loss(task.loss))
        params = task.initial(problem.net, problem.backend, 0)
        z = problem.net.apply(problem.backend, params, x)
        assert 0.1 < z.std() < 3
        batches = Batches(problem, Dataset(x, y, x, y, "", augment=True), 32, seed=0)
        step = Stepper(problem, SGD(lr=0.01), batches).call(0, 1)(params, SGD().init(problem, params))
        assert 2 < float(step.loss) < 8
        assert all(np.isfinite(array).all() for block in step.params for array in block.values())

    @pytest.mark.parametrize("side", [5, 28, 32, 33])
    @pytest.mark.parametrize("network", [cnn, resnet8])
    def test_other_sides_fit(self, network, side):
        assert network(1, side, 10).out_space(((1, side, side),)) == ((10,),)
        with pytest.raises(ShapeError):
            network(1, side, 10).out_space(((2, side, side),))

    @pytest.mark.parametrize(
        ("spec", "variance"),
        [("cifar10[network=cnn]", 2 / 288), ("cifar10[network=mlp]", 2 / 256), ("mnist", 2 / (256 + 128))],
    )
    def test_weights_behind_relus_start_larger(self, spec, variance):
        task = make(spec)
        params = task.initial(task.network(), get_backend("numpy"), 0)
        np.testing.assert_allclose(params[1]["weight"].var(), variance, rtol=0.03)

    def test_the_name_of_the_network_is_a_setting_called_network(self):
        assert make("cifar10").spec == "cifar10[network=cnn]"
        assert make("mnist[network=mlp]").spec == "mnist"
        assert Cifar10(network="resnet8") == make("cifar10[network=resnet8]")
        assert make("cifar10").changed(network="mlp", batch_size=7).spec == "cifar10[network=mlp,batch_size=7]"
        assert [task.architecture for task in configured("tasks", "mnist[network=[mlp,cnn]]")] == ["mlp", "cnn"]

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ("cifar10[network=vgg]", "network='vgg': .*'mlp', 'cnn' or 'resnet8'"),
            ("cifar10[width=3]", "no setting 'width'; its settings are: .*network, augment"),
            ("cifar10[hidden=[3]]", "hidden is a setting of network=mlp; leave it out for network=cnn"),
            ("mnist[network=resnet8,activation=gelu]", "activation is a setting of network=mlp"),
        ],
    )
    def test_settings_that_do_not_fit_are_refused(self, spec, words):
        with pytest.raises(SpecError, match=words):
            configured("tasks", spec)

    def test_mnist_has_images_for_convolutional_networks_only(self, monkeypatch):
        x, y = np.arange(4 * 784.0).reshape(4, 784), np.arange(4)
        monkeypatch.setattr("rbench.tasks.mnist.load_idx", lambda name, allow: Dataset(x, y, x[:2], y[:2], "sum", True))
        flat, images = Mnist(batch_size=1).dataset(), Mnist(batch_size=1, network="cnn").dataset()
        assert (flat.x_train.shape, flat.x_test.shape) == ((4, 784), (2, 784))
        assert (images.x_train.shape, images.x_test.shape) == ((4, 1, 28, 28), (2, 1, 28, 28))
        np.testing.assert_array_equal(images.x_train.reshape(4, 784), x)
        assert (images.official, images.augment) == (True, False)
