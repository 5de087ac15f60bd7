"""`rbench.from_torch` on every backend against PyTorch's own differentiation."""

from itertools import product

import numpy as np
import pytest

import rbench
from rbench.errors import DtypeError, ParameterError, ShapeError, TracingError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from helpers.torch_modules import CLASSES, NETWORKS, ResNet, Ruled, made  # noqa: E402

F, nn = torch.nn.functional, torch.nn
BATCH, MASS = 5, 0.1


def expected(module, x, y):
    """Outputs z; gradients and Jacobians by parameter; and the Hessians of the loss at z, all by autograd."""
    names, values = zip(*module.named_parameters(), strict=True)

    def outputs(*values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

    z = outputs(*values)
    gradients = torch.autograd.grad(F.cross_entropy(z, y), values)
    jacobians = torch.func.jacrev(outputs, argnums=tuple(range(len(values))))(*values)
    p = z.softmax(1).detach()
    return z, gradients, [j.detach().flatten(2) for j in jacobians], torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


CASES = [*product(NETWORKS, ("numpy", "torch")), ("a branch in a branch", "jax")]
"""JAX, which compiles every operation, has one network: where the others differ it does not."""


@pytest.mark.parametrize(("network", "name"), CASES)
def test_a_module_of_torch_is_the_same_on_every_backend(network, name):
    pytest.importorskip(name)
    module, shape = made(network)
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(BATCH, *shape)), rng.integers(0, CLASSES, BATCH)
    backend = rbench.get_backend(name, dtype="float64")
    net, arrays = rbench.from_torch(module, shape)
    params = tuple({key: backend.asarray(value) for key, value in block.items()} for block in arrays)
    z, gradients, jacobians, hessian = expected(module, torch.tensor(x), torch.tensor(y))
    with backend.inference():
        found = backend.to_numpy(net.apply(backend, params, backend.asarray(x)))
    np.testing.assert_allclose(found, z.detach(), rtol=1e-10, atol=1e-12)
    given = {value.detach().numpy().tobytes(): i for i, value in enumerate(module.parameters())}
    gradient = rbench.loss_gradient(net, params, x, y, loss="cross_entropy", backend=backend)
    direction = rbench.riemannian_gradient(net, params, x, y, loss="cross_entropy", mass=MASS, backend=backend)
    assert len(given) == sum(map(len, arrays))
    for block, own, step in zip(arrays, gradient, direction, strict=True):
        places = [given[value.tobytes()] for value in block.values()]
        g = torch.cat([gradients[i].flatten() for i in places])
        jacobian = torch.cat([jacobians[i] for i in places], dim=2)
        metric = torch.einsum("bdi,bde,bej->ij", jacobian, hessian, jacobian) / BATCH
        metric += MASS * torch.eye(len(g), dtype=torch.float64)
        for wanted, came in ((g, own), (torch.linalg.solve(metric, g), step)):
            whole = np.concatenate([backend.to_numpy(value).ravel() for value in came.values()])
            np.testing.assert_allclose(whole, wanted, rtol=1e-10, atol=1e-12)


def test_a_module_of_torch_keeps_its_dtype_and_its_parameters():
    module = nn.Linear(4, 3)
    _, ((block),) = rbench.from_torch(module)
    assert {value.dtype for value in block.values()} == {np.dtype("float32")}
    block["weight"][...] = 0
    assert module.weight.abs().min() > 0


def test_a_network_of_torch_is_written_as_a_user_would():
    net, _ = rbench.from_torch(Ruled(lambda m, x: m.c((x + F.relu(m.a(x))).tanh())))
    first = rbench.Copy() >> (rbench.Identity() * (rbench.Linear(4, 4) >> rbench.ReLU())) >> rbench.Add()
    assert net == first >> rbench.Tanh() >> rbench.Linear(4, 3)


def crossed(m, x):
    y = m.a(x)
    return torch.relu(y + x) + y


def in_place(m, x):
    y = m.a(x)
    return F.relu(y, inplace=True) + y


def in_place_of_a_view(m, x):
    y = m.a(x)
    return F.relu(y.flatten(1), inplace=True) + y


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


def sequential(*modules):
    return lambda: nn.Sequential(nn.Linear(4, 4), *modules)


def ruled(rule):
    return lambda: Ruled(rule)


HERE = r"at .*test_from_torch\.py:\d+, `"
LACKS = {
    "no module": (lambda: 3, "module is 3; give an nn.Module"),
    "a module": (sequential(nn.LSTM(4, 4)), "module '1', LSTM of 'Sequential': the algebra has no LSTM"),
    "batch normalisation": (sequential(nn.BatchNorm1d(4)), "no BatchNorm1d; fold it into the layer before it"),
    "softmax": (sequential(nn.Softmax(1)), "no Softmax; leave it out: the losses"),
    "a function": (ruled(lambda m, x: m.a(x) * 2), f"'mul' {HERE}.*no mul; docs/from-torch.md"),
    "a setting": (lambda: nn.Conv2d(1, 2, 3, dilation=2), r"dilation is \(2, 2\), and the algebra has only \(1, 1\)"),
    "groups": (lambda: nn.Conv2d(2, 2, 3, groups=2), "groups is 2, and the algebra has only 1"),
    "a kernel": (lambda: nn.Conv2d(1, 2, (3, 1)), r"kernel_size is \(3, 1\), and the algebra has only equal sizes"),
    "padding": (lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), "padding_mode is 'reflect'"),
    "an even kernel": (lambda: nn.Conv2d(1, 2, 2, padding="same"), "padding is 'same' for a kernel of 2"),
    "overlapping windows": (sequential(nn.MaxPool2d(3, 2, 1)), "stride is 2, .* pools step by their kernel, 3"),
    "padded windows": (sequential(nn.AvgPool2d(2, padding=1)), "padding is 1, and the algebra's pools have none"),
    "a GELU": (sequential(nn.GELU("tanh")), "approximate is 'tanh', and the algebra has only 'none'"),
    "training mode": (sequential(nn.Dropout()), "module '1', Dropout.*draws nothing.*call .eval"),
    "some axes": (ruled(lambda m, x: torch.flatten(x)), f"'flatten' {HERE}.*it flattens axes 0 to -1"),
    "a shape": (ruled(lambda m, x: x.view(2, 2, -1)), r"it makes the shape \(2, 2, -1\), and the algebra flattens"),
    "a number": (ruled(lambda m, x: m.a(x) + 1), "'add' .*it takes 1, and the algebra computes from"),
    "a multiple": (ruled(lambda m, x: torch.add(x, m.a(x), alpha=2)), "the algebra adds two values as they are"),
    "a computed weight": (ruled(lambda m, x: F.linear(x, m.a.weight.T)), "'linear' .*its weight is computed"),
    "a list": (ruled(lambda m, x: torch.cat([m.a(x), x])), "'cat' .*the algebra has no cat"),
    "named outputs": (ruled(lambda m, x: {"z": m.a(x)}), "'output': it takes {'z': a}"),
    "two outputs": (ruled(lambda m, x: (m.a(x), x)), r"'output': it takes \(a, x\)"),
    "two inputs": (TwoInputs, "input 'y' of 'TwoInputs': .*take one tensor, and forward takes more"),
    "a shared layer": (ruled(lambda m, x: m.a(m.a(x))), "uses parameter 'a.weight' once more, .*share no weights"),
    "crossed branches": (ruled(crossed), f"module 'a', Linear {HERE}y = m.a.x.`: it is part of several sums"),
    "a change in place": (ruled(in_place), "'relu' .*changes its input in place, and that is used again"),
    "a change of a view": (ruled(in_place_of_a_view), "'relu' .*changes its input in place, and that is used again"),
    "a condition": (ruled(lambda m, x: m.a(x) if x.sum() > 0 else x), f"cannot be traced {HERE}.*: TraceError"),
    "its length": (ruled(lambda m, x: m.a(x[: len(x)])), f"cannot be traced {HERE}.*'len' is not supported"),
    "sizes that do not fit": (sequential(nn.Linear(3, 2)), r"module '1', Linear.*takes \(3\), but is given \(4\)"),
    "no size": (sequential(nn.AdaptiveAvgPool2d(1)), "depends on the shape of the data: give the `shape`"),
    "rows of no size": (ruled(lambda m, x: x.view(-1, 4)), r"give the `shape` of a datum.*or write x.flatten\(1\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", LACKS)
def test_what_the_algebra_lacks_of_torch_is_named_with_its_line(name):
    make, words = LACKS[name]
    with pytest.raises(TracingError, match=words):
        rbench.from_torch(make())


@pytest.mark.parametrize(
    ("make", "shape", "error", "words"),
    [
        (ResNet, (1, 6, 4), TracingError, "images of 3 × 2 are not 1 × 1 equal squares"),
        (lambda: Ruled(lambda m, x: x.view(-1, 4)), (2, 4), TracingError, "rows of 4, where a datum has 8 numbers"),
        (ResNet, (2, 6, 6), TracingError, r"module 'stem', Conv2d.*takes \(1, any, any\), but is given \(2, 6, 6\)"),
        (ResNet, 6, ShapeError, r"shape is 6; give the sizes of one datum, such as \(3, 32, 32\)"),
        (lambda: nn.Linear(4, 3).half(), None, DtypeError, "'weight' is torch.float16; convert the module by .float"),
        (
            lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3).double()), None, DtypeError,
            "'0.weight' of torch.float32 and '1.weight' of torch.float64; convert it",
        ),
        (lambda: nn.Linear(4, 3, device="meta"), None, ParameterError, "'weight' has no numbers: .* device meta"),
    ],
)  # fmt: skip
def test_a_wrong_argument_of_from_torch_is_named(make, shape, error, words):
    with pytest.raises(error, match=words):
        rbench.from_torch(make(), shape)
