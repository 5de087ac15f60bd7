"""Methods against optimisers that others keep, step by step with their own gradients; each where it is installed.

| ours | theirs | settings under which both are the same |
|---|---|---|
| `muon` | `torch.optim.Muon`, `Adam` | theirs orthogonalises in bfloat16, which is left out here |
| `muon` | `optax.contrib.muon` | without Nesterov's momentum, for which theirs corrects averages as NAdam does |
| `shampoo` | `pytorch_optimizer.Shampoo`, `ScalableShampoo` | sums; ε as the start of the sums; SVD for the roots |
| `soap` | `pytorch_optimizer.SOAP` | no ε; the identity for the first basis; eigendecompositions for the others |
| `modular-norm` | `modula` | no biases; one datum, for whose gradients one power iteration is exact |
"""

from functools import partial

import numpy as np
import pytest

from helpers import training
from rbench import GELU, Add, Conv2d, Copy, Flatten, Identity, Linear, Tanh
from rbench.losses import get_loss
from rbench.methods import SOAP, Batch, ModularNorm, Muon, Problem, Shampoo
from rbench.methods.matrices import as_blocks, matrix_gradients
from rbench.modules.pullback import as_matrix

STEPS, SIZE = 8, 6
VECTORS = (Linear(4, 5) >> Tanh() >> Linear(5, 3), (4,))
IMAGES = (Conv2d(2, 4, 3, stride=2, padding=1) >> Tanh() >> Conv2d(4, 4, 2) >> Flatten() >> Linear(8, 3), (2, 5, 4))


class Course:
    """Training of one network on the same batches, by a method and by an optimiser of a library."""

    def __init__(self, backend, make_params, rng, net, shape, size=SIZE):
        self.problem = Problem(backend, net, get_loss("squared_error"))
        self.start = make_params(net, rng)
        self.batches = [Batch(rng.normal(size=(size, *shape)), rng.normal(size=(size, 3))) for _ in range(STEPS)]

    def ours(self, method):
        params, state = self.start, method.init(self.problem, self.start)
        for t, batch in enumerate(self.batches):
            scalars = method.scalars(t, STEPS)
            params, state, *_ = method.step(self.problem, params, state, batch, scalars, method.phase(t))
        return params

    def by_arrays(self, update):
        """Theirs, given a function from blocks and their gradients to new blocks."""
        params = self.start
        for batch in self.batches:
            params = update(params, self.problem.gradient(params, batch)[1])
        return params

    def by_matrices(self, make, **state):
        """An optimiser of PyTorch whose parameters are the layers' weights with the bias as a last column."""
        torch = pytest.importorskip("torch")
        backend, layers = self.problem.backend, self.problem.net.layers
        found = []
        for layer, block in zip(layers, self.start, strict=True):
            weight = block["weight"].reshape(layer.fan_out, layer.fan_in)
            found.append(torch.from_numpy(as_matrix(backend, (weight, block.get("bias"))).copy()))
        optimizer = make(found)
        for batch in self.batches:
            params = as_blocks(self.problem, [matrix.numpy() for matrix in found])
            for matrix, gradient in zip(found, matrix_gradients(self.problem, params, batch)[1], strict=True):
                matrix.grad = torch.from_numpy(gradient.copy())
            optimizer.step()
        return as_blocks(self.problem, [matrix.numpy() for matrix in found])


@pytest.fixture(params=[VECTORS, IMAGES], ids=["vectors", "images"])
def course(request, backend, make_params, rng):
    return Course(backend, make_params, rng, *request.param)


@pytest.fixture
def on_vectors(backend, make_params, rng):
    return Course(backend, make_params, rng, *VECTORS)


assert_same = partial(training.assert_same, least=1e-2)


@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_is_that_of_torch_but_for_bfloat16(course, nesterov, monkeypatch):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    arrays = [{key: torch.from_numpy(value.copy()) for key, value in block.items()} for block in course.start]
    matrices = [block["weight"].view(len(block["weight"]), -1) for block in arrays[:-1]]
    others = [block["bias"] for block in arrays] + [arrays[-1]["weight"]]
    optimizers = [
        torch.optim.Muon(matrices, lr=0.02, momentum=0.9, nesterov=nesterov, weight_decay=0.1, eps=0),
        torch.optim.AdamW(others, lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1),
    ]

    def update(params, gradient):
        slopes = [{key: torch.from_numpy(value.copy()) for key, value in block.items()} for block in gradient]
        for matrix, block in zip(matrices, slopes, strict=False):
            matrix.grad = block["weight"].view(matrix.shape)
        for array, slope in zip(others, [b["bias"] for b in slopes] + [slopes[-1]["weight"]], strict=True):
            array.grad = slope
        for optimizer in optimizers:
            optimizer.step()
        return tuple({key: value.numpy().copy() for key, value in block.items()} for block in arrays)

    ours = course.ours(Muon(lr=0.02, momentum=0.9, nesterov=nesterov, weight_decay=0.1, adam_lr=0.01))
    assert_same(ours, course.by_arrays(update), course.start)


@pytest.mark.parametrize("last", ["muon", "adam"])
def test_muon_is_that_of_optax_in_jax(course, last):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    settings = {"ns_steps": 4, "beta": 0.9, "eps": 1e-14, "nesterov": False, "adam_b1": 0.8, "adam_b2": 0.95}
    sides = [optax.contrib.MuonDimensionNumbers(tuple(range(1, block["weight"].ndim)), 0) for block in course.start]
    if last == "adam":
        sides[-1] = None
    axes = tuple({"weight": side, "bias": None} for side in sides)
    with jax.enable_x64(True):
        optimizer = optax.contrib.muon(0.02, adam_learning_rate=0.01, muon_weight_dimension_numbers=axes, **settings)
        state = optimizer.init(course.start)
        move = jax.jit(optimizer.update)

        def update(params, gradient):
            nonlocal state
            steps, state = move(gradient, state, params)
            return jax.tree.map(lambda w, s: w + np.asarray(s), params, steps)

        theirs = course.by_arrays(update)
    ours = course.ours(
        Muon(
            lr=0.02, momentum=0.9, nesterov=False, iterations=4, last=last,
            adam_lr=0.01, beta1=0.8, beta2=0.95, epsilon=1e-14,
        )
    )  # fmt: skip
    assert_same(ours, theirs, course.start)


def test_shampoo_is_that_of_pytorch_optimizer(course):
    library = pytest.importorskip("pytorch_optimizer")
    theirs = course.by_matrices(lambda found: library.Shampoo(found, lr=0.05, matrix_eps=1e-2))
    ours = course.ours(Shampoo(lr=0.05, epsilon=1e-2, decay=None, momentum=0.0))
    assert_same(ours, theirs, course.start)


@pytest.mark.parametrize(("graft", "number"), [("sgd", 1), ("adam", 2)])
def test_grafted_shampoo_is_that_of_pytorch_optimizer(course, graft, number):
    library = pytest.importorskip("pytorch_optimizer")
    settings = {
        "lr": 0.01, "graft_type": number, "matrix_eps": 1e-2, "diagonal_eps": 1e-3, "nesterov": False, "use_svd": True,
        "start_preconditioning_step": 1, "preconditioning_compute_steps": 1, "shape_interpretation": False,
    }  # fmt: skip

    def make(found):
        optimizer = library.ScalableShampoo(found, **settings)
        optimizer.param_groups[0]["betas"] = (0.9, 1.0)  # sums: it takes them here alone
        return optimizer

    own = {"graft_epsilon": 1e-3} if graft == "adam" else {}
    ours = course.ours(Shampoo(lr=0.01, epsilon=1e-2, decay=None, graft=graft, **own))
    assert_same(ours, course.by_matrices(make), course.start)


@pytest.mark.parametrize("refresh", [3, 20])
def test_soap_is_that_of_pytorch_optimizer(on_vectors, refresh):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("pytorch_optimizer")

    class FromIdentity(library.SOAP):
        def get_orthogonal_matrix_qr(self, state, *given):
            super().get_orthogonal_matrix_qr(state, *given)  # orders the squares
            return self.get_orthogonal_matrix(state["GG"])

    def make(found):
        optimizer = FromIdentity(
            found,
            lr=0.02,
            betas=(0.9, 0.95),
            shampoo_beta=0.8,
            precondition_frequency=refresh,
            weight_decay=0,
            eps=1e-14,
        )
        (group,) = optimizer.param_groups
        group["step"] = 1
        for matrix in found:
            sizes = matrix.shape
            optimizer.state[matrix].update(
                exp_avg=torch.zeros_like(matrix),
                exp_avg_sq=torch.zeros_like(matrix),
                GG=[torch.zeros(n, n, dtype=matrix.dtype) for n in sizes],
                Q=[torch.eye(n, dtype=matrix.dtype) for n in sizes],
                precondition_frequency=refresh,
                shampoo_beta=0.8,
            )
        return optimizer

    theirs = on_vectors.by_matrices(make)
    ours = on_vectors.ours(SOAP(lr=0.02, beta1=0.9, beta2=0.95, decay=0.8, refresh=refresh, epsilon=1e-14))
    assert_same(ours, theirs, on_vectors.start)


@pytest.mark.parametrize("masses", [(1, 1, 1, 1), (1, 2, 0.5, 3)])
def test_the_modular_norm_is_that_of_modula_in_torch(backend, make_params, rng, masses):
    torch = pytest.importorskip("torch")
    vector, atom, bond = (pytest.importorskip(f"modula.{name}") for name in ("vector", "atom", "bond"))
    inner = GELU() >> Linear(5, 5, bias=False) >> GELU() >> Linear(5, 5, bias=False)
    net = Linear(4, 5, bias=False) >> Copy() >> (inner * Identity()) >> Add() >> Linear(5, 3, bias=False)
    course = Course(backend, make_params, rng, net, (4,), size=1)
    theirs = [
        atom.Linear(layer.fan_out, layer.fan_in, mass=mass) for layer, mass in zip(net.layers, masses, strict=True)
    ]
    for layer in theirs:
        layer.u = torch.ones(layer.in_features, dtype=torch.float64)
        layer.v = torch.empty(layer.out_features, dtype=torch.float64)
    first, second, third, last = theirs
    whole = last @ (third @ bond.GELU() @ second @ bond.GELU() + bond.Identity()) @ first

    def update(params, gradient):
        steps = vector.Vector([torch.from_numpy(block["weight"].copy()) for block in gradient])
        whole.normalize(steps, target_norm=0.1)
        pairs = zip(params, steps, theirs, strict=True)  # their layers multiply by √(out / in) at work
        return tuple({"weight": block["weight"] - layer.scale * step.numpy()} for block, step, layer in pairs)

    ours = course.ours(ModularNorm(lr=0.1, base="sgd", beta1=0.0, masses=masses))
    assert_same(ours, course.by_arrays(update), course.start)
