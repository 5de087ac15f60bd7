"""Our curvature against curvlinops' and BackPACK's on the same batch, each where it is installed.

Theirs is of PyTorch's losses, whose means are over the outputs of a datum too and whose squared error has no ½: ours is
theirs times a factor, `Case.factor`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import rbench
from rbench import Conv2d, Flatten, Linear, ReLU, Tanh
from rbench.losses import get_loss
from rbench.methods import EKFAC, Batch, Problem
from rbench.methods.kronecker import gradient_covariance, input_covariance
from rbench.metrics import flattened, get_output_metric, metric_product, pull_metric
from rbench.testing.case import native

torch = pytest.importorskip("torch", reason="they work on PyTorch's modules")
rbench_torch = pytest.importorskip("rbench_torch")

# PyTorch warns so of itself when its forward mode is first used, and of hooks such as BackPACK's.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning"),
]

DAMPING = 0.3
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
BATCH, OUTPUTS = 8, 3
NETWORKS = {
    "vectors": (Linear(4, 6) >> Tanh() >> Linear(6, 3), (4,)),
    "images": (Conv2d(2, 3, 2) >> Tanh() >> Flatten() >> Linear(12, 3), (2, 3, 3)),
    "strided images": (
        Conv2d(2, 3, 3, stride=2, padding=1) >> ReLU() >> Conv2d(3, 2, 2, bias=False) >> Flatten() >> Linear(8, 3),
        (2, 5, 5),
    ),
}
LOSSES = {
    "cross_entropy": (torch.nn.CrossEntropyLoss, 1.0),
    "squared_error": (torch.nn.MSELoss, OUTPUTS / 2),
    "binary_cross_entropy": (torch.nn.BCEWithLogitsLoss, float(OUTPUTS)),
}


@dataclass
class Case:
    """A problem of ours at parameters and a batch, and the same in PyTorch."""

    problem: Problem
    params: Any
    batch: Batch
    module: Any
    criterion: Any
    factor: float

    @property
    def data(self):
        """The batch as tensors of PyTorch."""
        return [(torch.tensor(self.batch.x), torch.tensor(self.batch.y))]

    @property
    def layers(self):
        """The layers of the module."""
        return [part for part in self.module.modules() if isinstance(part, torch.nn.Linear | torch.nn.Conv2d)]

    def pulled(self, metric):
        """Ours pulled back to every layer."""
        return pull_metric(self.problem, self.params, self.batch, get_output_metric(metric), "stack")[1]

    def metrics(self):
        """Our GGN of every layer, (n_l, n_l); the mass is too small to be seen."""
        x, y, loss = self.batch.x, self.batch.y, self.problem.loss.name
        backend = self.problem.backend
        return rbench.layer_metrics(self.problem.net, self.params, x, y, loss=loss, mass=1e-30, backend=backend)

    def operator(self, name, **options):
        """A linear operator of curvlinops on flat vectors in the order of our blocks."""
        curvlinops = pytest.importorskip("curvlinops")
        weights = [*self.module.parameters()]
        return getattr(curvlinops, name)(self.module, self.criterion, weights, self.data, **options)

    def check(self, ours, theirs, factor=1.0):
        """Ours is theirs times a factor."""
        expected = factor * theirs.detach().numpy()
        dtype = self.problem.backend.dtype
        assert expected.dtype == dtype
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


@pytest.fixture(params=LOSSES)
def loss(request):
    return request.param


@pytest.fixture(params=TOLERANCE)
def case(request, network, loss, make_params, rng):
    net, shape = network
    backend = rbench.get_backend("numpy", dtype=request.param)
    targets = {
        "cross_entropy": rng.integers(0, OUTPUTS, BATCH),
        "squared_error": backend.asarray(rng.normal(size=(BATCH, OUTPUTS))),
        "binary_cross_entropy": backend.asarray(rng.integers(0, 2, (BATCH, OUTPUTS))),  # what curvlinops takes
    }
    params = native(backend, make_params(net, rng))
    batch = Batch(backend.asarray(rng.normal(size=(BATCH, *shape))), targets[loss])
    criterion, factor = LOSSES[loss]
    problem = Problem(backend, net, get_loss(loss))
    return Case(problem, params, batch, rbench_torch.to_module(net, params), criterion(), factor)


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("factors", ["type-2", "empirical"])
def test_kroneckers_factors_are_those_of_curvlinops(case, factors, sharing):
    settings = {"fisher_type": factors, "kfac_approx": sharing, "separate_weight_and_bias": False}
    theirs = case.operator("KFACLinearOperator", check_deterministic=False, **settings)
    theirs.compute_kronecker_factors()
    found = theirs.state_dict()
    backend, factor = case.problem.backend, case.factor
    if (factors, case.problem.loss.name) == ("empirical", "squared_error"):
        factor /= 2  # their distribution has the variance ½
    pulled = case.pulled({"type-2": "ggn", "empirical": "empirical_fisher"}[factors])
    for layer, (name, covariance) in zip(pulled, found["input_covariances"].items(), strict=True):
        case.check(input_covariance(backend, layer, sharing), covariance)
        case.check(gradient_covariance(backend, layer, sharing), found["gradient_covariances"][name], factor)


def test_the_ggn_of_every_layer_is_that_of_curvlinops(case):
    theirs = case.operator("GGNLinearOperator", check_deterministic=False)
    whole = theirs @ torch.eye(theirs.shape[1], dtype=theirs.dtype)
    start = 0
    for ours in case.metrics():
        stop = start + len(ours)
        case.check(ours, whole[start:stop, start:stop], case.factor)
        start = stop
    assert start == len(whole)


def test_products_with_the_ggn_are_those_of_curvlinops(case, rng):
    product = metric_product(case.problem, case.params, case.batch, get_output_metric("ggn"))
    theirs = case.operator("GGNLinearOperator", check_deterministic=False)
    for _ in range(3):
        vector = case.problem.backend.asarray(rng.normal(size=theirs.shape[1]))
        case.check(product(vector), theirs @ torch.tensor(vector), case.factor)


def test_the_direction_of_ekfac_is_that_of_curvlinops(case):
    """(E + λI) Δ is the gradient, for curvlinops' E."""
    backend, problem = case.problem.backend, case.problem
    method = EKFAC(factors="exact", damping=DAMPING, decay=0.0, lr=1.0, momentum=0.0)
    state = method.init(problem, case.params)
    step = method.step(problem, case.params, state, case.batch, method.scalars(0, 1), True)
    _, gradient = problem.gradient(case.params, case.batch)

    def vector(blocks):
        pairs = [(block["weight"].reshape(len(block["weight"]), -1), block.get("bias")) for block in blocks]
        return flattened(backend, pairs)

    settings = {"fisher_type": "type-2", "kfac_approx": "expand", "separate_weight_and_bias": False}
    theirs = case.operator("EKFACLinearOperator", check_deterministic=False, **settings)
    direction = vector(case.params) - vector(step.params)
    product = case.factor * (theirs @ torch.tensor(direction)).detach() + DAMPING * torch.tensor(direction)
    case.check(vector(gradient), product)


@pytest.fixture
def with_backpack(case):
    """The layers of a module whose parameters hold BackPACK's quantities, beside ours."""
    backpack = pytest.importorskip("backpack")
    extensions = pytest.importorskip("backpack.extensions")
    if case.problem.loss.name == "binary_cross_entropy":
        pytest.skip("BackPACK takes this loss of one output only")
    criterion = backpack.extend(case.criterion)
    backpack.extend(case.module)
    ((x, y),) = case.data
    with backpack.backpack(extensions.KFLR(), extensions.GGNMP(), extensions.DiagGGNExact()):
        criterion(case.module(x), y).backward()
    return list(zip(case.layers, case.pulled("ggn"), case.metrics(), strict=True))


def test_kroneckers_factors_are_those_of_backpack(case, with_backpack):
    """A convolution's A is their sum over positions, and G that of the rows' sums over positions."""
    backend = case.problem.backend
    for theirs, ours, _ in with_backpack:
        gradients, inputs = theirs.weight.kflr
        width, positions = len(inputs), ours.source.shape[1]
        case.check(positions * input_covariance(backend, ours)[:width, :width], inputs)
        case.check(gradient_covariance(backend, ours, "reduce"), gradients, case.factor)


def test_the_ggn_of_every_weight_is_that_of_backpack(case, with_backpack):
    for theirs, _, ours in with_backpack:
        weight = theirs.weight
        size = weight.numel()
        eye = torch.eye(size, dtype=weight.dtype).reshape(size, *weight.shape)
        case.check(ours[:size, :size], weight.ggnmp(eye).reshape(size, size), case.factor)
        case.check(np.diag(ours)[:size], weight.diag_ggn_exact.flatten(), case.factor)
        if theirs.bias is not None:
            case.check(np.diag(ours)[size:], theirs.bias.diag_ggn_exact, case.factor)
