"""The built-in suites, one a file."""

from rbench.hookspecs import hookimpl
from rbench.run.suite import Suite
from rbench_suites.autoencoder import AUTOENCODER
from rbench_suites.mnist import MNIST
from rbench_suites.quick import QUICK
from rbench_suites.synthetic import SYNTHETIC


@hookimpl
def rbench_suites() -> list[Suite]:
    """Register the built-in suites."""
    return [QUICK, MNIST, AUTOENCODER, SYNTHETIC]
