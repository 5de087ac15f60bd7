"""Curvature against curvlinops, where it is installed: products with the GGN, and EKFAC's direction."""

import numpy as np
import pytest

from rbench import Conv2d, Flatten, Linear, Tanh
from rbench.losses import get_loss
from rbench.methods import EKFAC, Batch, Problem
from rbench.metrics import flattened, get_output_metric, metric_product

torch = pytest.importorskip("torch", reason="curvlinops works on PyTorch's modules")
curvlinops = pytest.importorskip("curvlinops", reason="nothing to compare with")

# PyTorch warns so of itself when its forward mode is first used.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

DAMPING = 0.3
CASES = {
    "vectors": (
        Linear(4, 6) >> Tanh() >> Linear(6, 3),
        lambda: [torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)],
        (8, 4),
    ),
    "images": (
        Conv2d(2, 3, 2) >> Tanh() >> Flatten() >> Linear(12, 3),
        lambda: [torch.nn.Conv2d(2, 3, 2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(12, 3)],
        (8, 2, 3, 3),
    ),
}


@pytest.fixture(params=CASES)
def case(request, make_params, rng):
    """A network, its parameters, inputs, and the same in PyTorch: the module and its parameters in our order."""
    net, parts, shape = CASES[request.param]
    params, x = make_params(net, rng), rng.normal(size=shape)
    module = torch.nn.Sequential(*parts()).double()
    layers = [part for part in module if hasattr(part, "weight")]
    with torch.no_grad():
        for layer, block in zip(layers, params, strict=True):
            layer.weight.copy_(torch.tensor(block["weight"]))
            layer.bias.copy_(torch.tensor(block["bias"]))
    return net, params, x, module


@pytest.fixture(params=["cross_entropy", "squared_error"])
def loss(request, case, rng):
    """A loss with targets, the same in PyTorch, and ours over theirs: ½ ‖z − y‖² over its mean over d outputs."""
    if request.param == "cross_entropy":
        y = rng.integers(0, 3, len(case[2]))
        return get_loss("cross_entropy"), y, torch.nn.CrossEntropyLoss(), 1.0
    y = rng.normal(size=(len(case[2]), 3))
    return get_loss("squared_error"), y, torch.nn.MSELoss(), 3 / 2


def operator(name, case, loss, **options):
    """A linear operator of curvlinops on flat vectors in the order of our blocks."""
    _, _, x, module = case
    _, y, criterion, _ = loss
    data = [(torch.tensor(x), torch.tensor(y))]
    return getattr(curvlinops, name)(module, criterion, [*module.parameters()], data, **options)


def test_products_with_the_ggn(backend, case, loss, rng):
    net, params, x, _ = case
    ours, y, _, factor = loss
    problem = Problem(backend, net, ours)
    product = metric_product(problem, params, Batch(x, y), get_output_metric("ggn"))
    theirs = operator("GGNLinearOperator", case, loss)
    for _ in range(3):
        vector = rng.normal(size=theirs.shape[1])
        expected = factor * (theirs @ torch.tensor(vector)).detach().numpy()
        np.testing.assert_allclose(product(vector), expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_the_direction_of_ekfac(backend, case, loss):
    """(E + λI) Δ is the gradient, for curvlinops' E."""
    net, params, x, _ = case
    ours, y, _, factor = loss
    problem = Problem(backend, net, ours)
    method = EKFAC(factors="exact", damping=DAMPING, decay=0.0, lr=1.0, momentum=0.0)
    step = method.step(problem, params, method.init(problem, params), Batch(x, y), method.scalars(0, 1), True)
    _, gradient = problem.gradient(params, Batch(x, y))

    def vector(blocks):
        pairs = [(block["weight"].reshape(len(block["bias"]), -1), block["bias"]) for block in blocks]
        return flattened(backend, pairs)

    theirs = operator(
        "EKFACLinearOperator", case, loss, fisher_type="type-2", kfac_approx="expand", separate_weight_and_bias=False
    )
    direction = vector(params) - vector(step.params)
    product = factor * (theirs @ torch.tensor(direction)).detach().numpy() + DAMPING * direction
    expected = vector(gradient)
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
