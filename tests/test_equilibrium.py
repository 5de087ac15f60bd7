"""The implicit layer: the equation that it solves, the gate's laws for it, and what it refuses."""

import numpy as np
import pytest

from rbench import Equilibrium, Linear
from rbench.errors import ParameterError, ShapeError, SpecError
from rbench.random import generator
from rbench.tasks.digits import Digits


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("feedback", [0.5, 1.0])
def test_its_output_solves_its_equation(backend, bias, feedback):
    layer = Equilibrium(4, 6, bias=bias, feedback=feedback)
    params = layer.init(backend)
    x = generator(0, "data").normal(size=(7, 4))
    z = backend.to_numpy(layer.apply(backend, params, backend.asarray(x)))
    block = {name: backend.to_numpy(array) for name, array in params[0].items()}
    inputs = np.concatenate([feedback * z, x], axis=1)
    np.testing.assert_allclose(z, np.tanh(inputs @ block["weight"].T + block.get("bias", 0)), atol=1e-14)


def test_an_example_for_which_no_solution_was_found_is_nan_and_others_are_not(backend):
    """z = tanh(R z + x) with R ten times a quarter turn: from zero the steps only go round, unless x is zero."""
    layer = Equilibrium(1, 2, bias=False, feedback=1.0)
    weight = backend.asarray([[0.0, -10.0, 1.0], [10.0, 0.0, 1.0]])
    z = backend.to_numpy(layer.apply(backend, ({"weight": weight},), backend.asarray([[0.0], [0.7]])))
    np.testing.assert_array_equal(z, [[0, 0], [np.nan, np.nan]])


@pytest.mark.parametrize("feedback", [0, -1.0, float("nan"), float("inf"), "half"])
def test_a_feedback_that_is_none_is_refused(feedback):
    with pytest.raises(ParameterError, match=f"Equilibrium: feedback is {feedback!r}; give a positive finite number"):
        Equilibrium(2, 3, feedback=feedback)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"takes \(5\), but is given \(4\)"):
        Linear(3, 4) >> Equilibrium(5, 2)
    assert (Linear(3, 4) >> Equilibrium(4, 2)).out_space(((3,),)) == ((2,),)


def test_the_task_digits_has_it():
    assert Digits(hidden=(16,), equilibrium=True).network() == Equilibrium(64, 16) >> Linear(16, 10)
    with pytest.raises(SpecError, match="equilibrium=true is one hidden layer, with tanh"):
        Digits(hidden=(16, 8), equilibrium=True)
