"""All inner products of some vectors, alike on every backend that is here."""

import numpy as np
import pytest

from helpers.registered import get_or_skip

BACKENDS = ["numpy", "torch", "torch[compile=true]", "jax", "cupy"]
SHAPES = [(1, 1), (7, 3), (128, 4099), (129, 4100), (33, 20000), (129, 8192), (300, 1800)]
"""How many vectors, and their length; from (128, 4099) on PyTorch computes half of the products, in pieces of 1,024."""


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_gram_matrix_holds_all_inner_products(name, dtype, shape, rng):
    backend = get_or_skip(name, dtype)
    vectors = rng.normal(size=shape).astype(dtype)
    exact = vectors.astype(float)
    # Rounding of a sum of k products: √k ε of the vectors' lengths, and as much for the oracle's own.
    lengths, bound = np.linalg.norm(exact, axis=1), 2 * shape[1] ** 0.5 * backend.epsilon
    for given in (backend.asarray(vectors), backend.asarray(vectors.T.copy()).T):
        found = backend.to_numpy(backend.gram(given))
        assert found.dtype == dtype
        assert np.abs((found - exact @ exact.T) / np.outer(lengths, lengths)).max() <= bound
