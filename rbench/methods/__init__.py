"""Update rules, one per file, and their registration."""

from rbench.hookspecs import hookimpl
from rbench.methods.adam import Adam
from rbench.methods.base import Method, Scalars, State, Step, compile_step, map_blocks
from rbench.methods.descent import Descent
from rbench.methods.kfac import KFAC
from rbench.methods.modular_norm import ModularNorm
from rbench.methods.muon import Muon
from rbench.methods.riemannian import Naive, Riemannian
from rbench.methods.sgd import SGD
from rbench.methods.shampoo import Shampoo
from rbench.methods.soap import SOAP
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem

__all__ = [
    "KFAC",
    "SGD",
    "SOAP",
    "Adam",
    "Batch",
    "Choice",
    "Descent",
    "Dimension",
    "LogUniform",
    "Method",
    "ModularNorm",
    "Muon",
    "Naive",
    "Problem",
    "Riemannian",
    "Scalars",
    "Shampoo",
    "State",
    "Step",
    "compile_step",
    "map_blocks",
]


@hookimpl
def rbench_methods() -> list[type[Method]]:
    """Register the built-in methods."""
    return [SGD, Adam, Riemannian, Naive, KFAC, Shampoo, SOAP, Muon, ModularNorm]
