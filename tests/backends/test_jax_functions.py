"""`rbench_jax.to_function` against the algebra: outputs, gradients, and parameters back and forth."""

import numpy as np
import pytest

from helpers.pulled_back import pulled_back
from rbench import Linear, Tanh
from rbench.errors import ParameterError
from rbench.testing._examples import CONVOLUTIONS, MODULES, NETWORKS

jax = pytest.importorskip("jax")
rbench_jax = pytest.importorskip("rbench_jax")


@pytest.mark.parametrize("name", [*NETWORKS, *MODULES, *CONVOLUTIONS])
def test_a_function_is_the_network_in_jax(name, backend, rng):
    given, outputs, rows, inputs, gradient = pulled_back(name, backend, rng)
    function = rbench_jax.to_function(given.net)

    def pulled(blocks, wires):
        found = function(function.params(blocks), wires if len(wires) > 1 else wires[0])
        found = found if isinstance(found, tuple) else (found,)
        return sum((z * row).sum() for z, row in zip(found, rows, strict=True)), found

    with jax.enable_x64(True):
        slopes, found = jax.grad(pulled, argnums=(0, 1), has_aux=True)(
            *jax.tree.map(jax.numpy.asarray, (given.params, given.x))
        )
        back = function.blocks(function.params(given.params))
    ours = (outputs, gradient, inputs, given.params)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves((found, *slopes, back)), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-10, atol=1e-10 * np.abs(one).max())


class Unknown(Tanh):
    pass


def test_what_cannot_be_a_function_is_named_in_jax():
    with pytest.raises(ParameterError, match=r"Unknown\(\) cannot be made a function"):
        rbench_jax.to_function(Linear(2, 3) >> Unknown())
