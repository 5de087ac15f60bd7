"""The built-in suites, one per file."""

from rbench.hookspecs import hookimpl
from rbench.run import Suite
from rbench_suites.autoencoder import AUTOENCODER
from rbench_suites.cifar10 import CIFAR10
from rbench_suites.memory import MEMORY
from rbench_suites.mnist import MNIST
from rbench_suites.quick import QUICK
from rbench_suites.reference import REFERENCE
from rbench_suites.scaling import SCALING
from rbench_suites.step_time import STEP_TIME
from rbench_suites.synthetic import SYNTHETIC


@hookimpl
def rbench_suites() -> list[Suite]:
    """Register the built-in suites."""
    return [QUICK, MNIST, AUTOENCODER, CIFAR10, SYNTHETIC, REFERENCE, STEP_TIME, SCALING, MEMORY]
