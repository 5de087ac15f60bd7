"""Update rules, one per file, and their registration."""

from rbench.hookspecs import hookimpl
from rbench.methods.adam import Adam
from rbench.methods.base import Method, Scalars, State, Step, compile_step, map_blocks
from rbench.methods.descent import Descent
from rbench.methods.ekfac import EKFAC
from rbench.methods.kfac import KFAC
from rbench.methods.modular_norm import ModularNorm
from rbench.methods.muon import Muon
from rbench.methods.natural_gradient import NaturalGradient
from rbench.methods.prong import PRONG
from rbench.methods.riemannian import Naive, Riemannian
from rbench.methods.sgd import SGD
from rbench.methods.shampoo import Shampoo
from rbench.methods.soap import SOAP
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, Problem

__all__ = [
    "EKFAC",
    "KFAC",
    "PRONG",
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
    "NaturalGradient",
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
    return [SGD, Adam, Riemannian, Naive, NaturalGradient, KFAC, EKFAC, PRONG, Shampoo, SOAP, Muon, ModularNorm]
