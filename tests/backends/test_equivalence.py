"""Every backend that is here passes the equivalence gate, whole."""

from rbench.testing import equivalence_tests

test_numpy = equivalence_tests("numpy")
test_torch = equivalence_tests("torch")
test_jax = equivalence_tests("jax")
test_cupy = equivalence_tests("cupy")
test_torch_cuda = equivalence_tests("torch", device="cuda")
test_jax_cuda = equivalence_tests("jax", device="cuda")
