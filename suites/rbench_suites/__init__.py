"""The built-in suites."""

from rbench.hookspecs import hookimpl
from rbench.run import Suite
from rbench_suites.ablation import ABLATION
from rbench_suites.costs import MEMORY, SCALING, STEP_TIME
from rbench_suites.images import AUTOENCODER, CIFAR10, MNIST
from rbench_suites.pinn import PINN
from rbench_suites.quick import QUICK
from rbench_suites.reference import REFERENCE
from rbench_suites.sceptics import SCEPTICS
from rbench_suites.sensitivity import SENSITIVITY
from rbench_suites.synthetic import SYNTHETIC
from rbench_suites.theory import ACTION, MMS, MMS_DIFFUSION, STABILITY


@hookimpl
def rbench_suites() -> list[Suite]:
    """Register the built-in suites."""
    training: list[Suite] = [QUICK, MNIST, AUTOENCODER, CIFAR10, SYNTHETIC, REFERENCE, ABLATION, PINN, SCEPTICS]
    return [*training, SENSITIVITY, ACTION, STABILITY, MMS, MMS_DIFFUSION, STEP_TIME, SCALING, MEMORY]
