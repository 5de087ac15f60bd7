"""The networks of tasks: their layers, activations and bounds."""

from itertools import pairwise

import pytest

from rbench.errors import ShapeError, SpecError
from rbench.modules import Linear, Tanh
from rbench.tasks.autoencoder import MnistAutoencoder
from rbench.tasks.networks import mlp
from rbench.train.cell import configured


def test_mlp_has_activations_between_layers_only():
    assert mlp((2, 3), "tanh") == Linear(2, 3)
    assert mlp((2, 3, 4, 1), "tanh") == Linear(2, 3) >> Tanh() >> Linear(3, 4) >> Tanh() >> Linear(4, 1)


@pytest.mark.parametrize("sizes", [(), (3,)])
def test_mlp_needs_two_sizes(sizes):
    with pytest.raises(ShapeError, match=r"input and its output at least, but sizes are \("):
        mlp(sizes, "tanh")


def test_the_number_of_layers_is_bounded_before_any_is_made():
    with pytest.raises(ShapeError, match="at most 10,000 layers, but 10,001 are asked for"):
        mlp([1] * 10_002, "tanh")
    for spec in ("deep-linear[depth=1000000000000]", f"digits[hidden=[{','.join('1' * 10_001)}]]"):
        with pytest.raises(SpecError, match=r"(depth|hidden)=.*10000|at most 9999 items"):
            configured("tasks", spec)


@pytest.mark.parametrize(("hidden", "code"), [(None, (250, 30, 250)), ((9, 4, 2), (4, 2, 784)), ((5,), (784, 5, 784))])
def test_the_autoencoders_code_is_linear(hidden, code):
    task = MnistAutoencoder() if hidden is None else MnistAutoencoder(hidden=hidden)
    before, narrow, after = code
    modules = task.network().modules
    bare = [(a, b) for a, b in pairwise(modules) if isinstance(a, Linear) and isinstance(b, Linear)]
    assert bare == [(Linear(before, narrow), Linear(narrow, after))]
    sizes = [784, *task.hidden, 784]
    assert list(task.network().layers) == [Linear(a, b) for a, b in pairwise(sizes)]
    assert isinstance(modules[-1], Linear)
