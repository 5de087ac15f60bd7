"""Tasks: data, a network, a loss, a budget and a target."""

from rbench.hookspecs import hookimpl
from rbench.tasks.autoencoder import MnistAutoencoder
from rbench.tasks.base import Target, Task
from rbench.tasks.cifar10 import Cifar10
from rbench.tasks.dataset import Dataset, fingerprint
from rbench.tasks.deep_linear import DeepLinear
from rbench.tasks.digits import Digits
from rbench.tasks.lanczos import Lanczos
from rbench.tasks.mnist import FashionMnist, Mnist
from rbench.tasks.npz import Npz
from rbench.tasks.poisson import Poisson
from rbench.tasks.regression import Regression
from rbench.tasks.teacher_student import TeacherStudent
from rbench.tasks.two_spirals import TwoSpirals


@hookimpl
def rbench_tasks() -> list[type[Task]]:
    """Register the tasks that come with rbench."""
    images: list[type[Task]] = [Digits, Mnist, FashionMnist, MnistAutoencoder, Cifar10]
    return [*images, Regression, TeacherStudent, DeepLinear, TwoSpirals, Lanczos, Poisson, Npz]


__all__ = ["Dataset", "Target", "Task", "fingerprint"]
