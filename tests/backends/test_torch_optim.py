"""The optimisers of `rbench_torch.optim` against the methods that they are: the same batches, samples and weights."""

import copy
import io

import numpy as np
import pytest

import rbench
from helpers.training import SEED, assert_same, trained
from rbench import methods
from rbench.errors import CapacitanceError, LoopError, MetricError, ParameterError, SpecError, TracingError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from helpers.torch_modules import CLASSES, made, mlp  # noqa: E402
from rbench_torch.optim import KFAC, Riemannian  # noqa: E402

F, nn = torch.nn.functional, torch.nn
STEPS, BATCH = 6, 6
LOSSES = {
    "cross_entropy": F.cross_entropy,
    "squared_error": lambda z, y: F.mse_loss(z, y, reduction="sum") / (2 * len(z)),
    "binary_cross_entropy": lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="sum") / len(z),
}


def batches_of(shape, loss="cross_entropy", size=BATCH):
    rng = np.random.default_rng(4)
    for _ in range(STEPS):
        y = rng.integers(0, CLASSES, size) if loss == "cross_entropy" else rng.random((size, CLASSES))
        yield rng.normal(size=(size, *shape)), y


def by_the_method(method, module, shape, batches, loss="cross_entropy", rates=None):
    """Parameters after the method's own steps, on NumPy."""
    return trained(
        rbench.get_backend("numpy", dtype="float64"),
        method,
        *rbench.from_torch(module, shape),
        batches,
        loss,
        rates=rates,
    )


def assert_same_module(module, shape, expected, start):
    assert_same(rbench.from_torch(module, shape)[1], expected, rbench.from_torch(start, shape)[1])


def loop(module, optimizer, batches, loss="cross_entropy"):
    for x, y in batches:
        optimizer.zero_grad()
        LOSSES[loss](module(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()


METRICS = ("ggn", "ggn_mc", "identity", "empirical_fisher", "true_vs_rest")
SETTINGS = [
    *((Riemannian, {"output_metric": name}) for name in METRICS),
    (Riemannian, {"output_metric": "ggn_mc", "rank": 2, "momentum": 0.0, "weight_decay": 0.1, "kl_clip": 1e-3}),
    (Riemannian, {"output_metric": "ggn_mc", "refresh": 2}),
    (Riemannian, {"mass": "kronecker", "factor_refresh": 4, "refresh": 2, "rows": False, "metric_batch": 4}),
    (Riemannian, {"coupling": "network", "spring": True, "mass": [0.1, 0.2]}),
    (KFAC, {}),
    (KFAC, {"refresh": 3, "damping_split": "eigen"}),
    (KFAC, {"decay": 0.0, "factors": "exact", "momentum": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "settings"), SETTINGS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_an_optimiser_of_torch_makes_the_steps_of_its_method(kind, settings):
    module, shape = made("mlp")
    start, batches = copy.deepcopy(module), [*batches_of(shape)]
    loop(module, kind(module, "cross_entropy", lr=0.05, seed=SEED, **settings), batches)
    method = getattr(methods, kind.__name__)(lr=0.05, **settings)
    assert_same_module(module, shape, by_the_method(method, start, shape, batches), start)


@pytest.mark.parametrize("network", ["lenet", "resnet", "a branch in a branch"])
@pytest.mark.parametrize("kind", [Riemannian, KFAC])
def test_an_optimiser_of_torch_steps_alike_on_every_network(kind, network):
    module, shape = made(network)
    start, batches = copy.deepcopy(module), [*batches_of(shape)]
    loop(module, kind(module, "cross_entropy", shape=shape, seed=SEED), batches)
    expected = by_the_method(getattr(methods, kind.__name__)(), start, shape, batches)
    assert_same_module(module, shape, expected, start)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_optimiser_of_torch_steps_alike_for_every_loss(loss):
    module, shape = made("mlp")
    start, batches = copy.deepcopy(module), [*batches_of(shape, loss)]
    loop(module, Riemannian(module, loss, seed=SEED), batches, loss)
    assert_same_module(module, shape, by_the_method(methods.Riemannian(), start, shape, batches, loss), start)


def test_an_optimiser_of_torch_takes_a_closure_and_schedulers():
    module, shape = made("mlp")
    start, batches, losses = copy.deepcopy(module), [*batches_of(shape)], []
    optimizer = Riemannian(module, "cross_entropy", lr=0.05, seed=SEED)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for x, y in batches:

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = F.cross_entropy(module(torch.tensor(x)), torch.tensor(y))
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
        schedule.step()
        with torch.no_grad():
            module(torch.tensor(x[:2]))  # an evaluation, which is no batch
    rates = [0.05 * 0.5**t for t in range(STEPS)]
    expected = by_the_method(methods.Riemannian(), start, shape, batches, rates=rates)
    assert_same_module(module, shape, expected, start)
    assert np.isfinite(losses).all()


def test_gradients_in_torch_may_accumulate():
    module, shape = made("mlp")
    start, batches = copy.deepcopy(module), [*batches_of(shape)]
    optimizer = Riemannian(module, "cross_entropy", output_metric="empirical_fisher", seed=SEED)
    for x, y in batches:
        optimizer.zero_grad()
        for part in (slice(0, 3), slice(3, 6)):
            (F.cross_entropy(module(torch.tensor(x[part])), torch.tensor(y[part])) / 2).backward()
        optimizer.step()
    method = methods.Riemannian(output_metric="empirical_fisher")
    assert_same_module(module, shape, by_the_method(method, start, shape, batches), start)


def test_the_gradient_in_torch_is_the_users():
    """The loss has another term, and the first step goes along the whole gradient by the metric of the first alone."""
    module, shape = made("mlp")
    (x, y), *_ = batches_of(shape)
    _, before = rbench.from_torch(module)
    optimizer = Riemannian(module, "cross_entropy", lr=1.0, output_metric="ggn", mass=0.1)
    optimizer.zero_grad()
    loss = F.cross_entropy(module(torch.tensor(x)), torch.tensor(y))
    (loss + sum(p.square().sum() for p in module.parameters())).backward()
    net, params = rbench.from_torch(module)
    settings = {"loss": "cross_entropy", "output_metric": "ggn", "mass": 0.1, "backend": "numpy"}
    metrics = rbench.layer_metrics(net, params, x, y, **settings)
    layers = [layer for layer in module if isinstance(layer, nn.Linear)]
    gradients = [torch.cat([p.grad.flatten() for p in layer.parameters()]).numpy() for layer in layers]
    optimizer.step()
    _, after = rbench.from_torch(module)
    for metric, gradient, was, now in zip(metrics, gradients, before, after, strict=True):
        step = np.concatenate([(was[key] - now[key]).ravel() for key in was])
        np.testing.assert_allclose(step, np.linalg.solve(metric, gradient), rtol=1e-10)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(Riemannian, {}), (Riemannian, {"refresh": 2, "mass": "kronecker", "factor_refresh": 2}), (KFAC, {"refresh": 2})],
)
def test_a_state_of_torch_survives_saving(kind, settings):
    module, shape = made("mlp")
    batches, settings = [*batches_of(shape)], {"loss": "cross_entropy", "seed": SEED, **settings}
    optimizer = kind(module, **settings)
    loop(module, optimizer, batches[:3])
    file = io.BytesIO()
    torch.save({"module": module.state_dict(), "optimizer": optimizer.state_dict()}, file)
    loop(module, optimizer, batches[3:])
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other = mlp().double()
    other.load_state_dict(saved["module"])
    resumed = kind(other, **settings)
    resumed.load_state_dict(saved["optimizer"])
    loop(other, resumed, batches[3:])
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_state_of_torch_with_other_settings_is_refused():
    module, shape = made("mlp")
    batches = [*batches_of(shape)]
    one, two = Riemannian(module, "cross_entropy"), Riemannian(module, "cross_entropy", momentum=0.0)
    loop(module, one, batches[:1])
    saved = one.state_dict()
    saved["param_groups"][0]["momentum"] = 0.0
    two.load_state_dict(saved)
    with pytest.raises(LoopError, match="of an optimiser with other settings"):
        loop(module, two, batches[1:])


def test_settings_in_torch_may_change_between_steps():
    module, shape = made("mlp")
    other, batches = copy.deepcopy(module), [*batches_of(shape)]
    one, two = Riemannian(module, "cross_entropy", mass=0.1), Riemannian(other, "cross_entropy", mass=0.7)
    one.param_groups[0]["mass"] = 0.7
    loop(module, one, batches)
    loop(other, two, batches)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters(), strict=True))


def test_a_copy_of_a_module_of_torch_is_not_watched():
    module, shape = made("mlp")
    optimizer = Riemannian(module, "cross_entropy")
    other = copy.deepcopy(module)
    (x, y), *_ = batches_of(shape)
    F.cross_entropy(other(torch.tensor(x)), torch.tensor(y)).backward()
    with pytest.raises(LoopError, match="no batch was seen since the last step: call the module itself"):
        optimizer.step()


def test_one_step_in_torch_needs_one_backward_pass():
    module, shape = made("mlp")
    optimizer = Riemannian(module, "cross_entropy")
    loop(module, optimizer, [*batches_of(shape)][:1])
    with pytest.raises(LoopError, match="no batch was seen since the last step"):
        optimizer.step()


def shrink(module):
    module[0].weight.data = module[0].weight.data[:3]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda module: module.zero_grad(), "parameter '0.weight' has no gradient: call backward"),
        (shrink, r"'0.weight' is \(3, 4\) on cpu, and was \(6, 4\) on cpu"),
        (lambda module: module(torch.zeros(2, 3, 4).double()).sum().backward(), r"returned the shape \(2, 3, 3\)"),
    ],
)
def test_what_a_loop_in_torch_lacks_is_named(spoil, words):
    module, shape = made("mlp")
    optimizer = Riemannian(module, "cross_entropy")
    (x, y), *_ = batches_of(shape)
    F.cross_entropy(module(torch.tensor(x)), torch.tensor(y)).backward()
    spoil(module)
    with pytest.raises(LoopError, match=words):
        optimizer.step()


def test_batches_in_torch_are_of_one_size_where_the_metric_is_kept():
    module, shape = made("mlp")
    optimizer = Riemannian(module, "cross_entropy", refresh=2)
    (one, *_), (other, *_) = ([*batches_of(shape, size=size)] for size in (6, 5))
    with pytest.raises(LoopError, match="keeps the metric of a batch of 6 data, and this has 5: make all"):
        loop(module, optimizer, [one, other])


def test_a_step_in_torch_that_fails_changes_nothing():
    module, shape = made("mlp")
    optimizer = Riemannian(module, "cross_entropy")
    before = copy.deepcopy(module)
    with pytest.raises(CapacitanceError, match="at step 0"):
        loop(module, optimizer, [(np.full((2, *shape), np.nan), np.zeros(2, int))])
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), before.parameters(), strict=True))


def frozen():
    module = mlp()
    module[0].weight.requires_grad_(False)
    return module


@pytest.mark.parametrize(
    ("make", "settings", "error", "words"),
    [
        (mlp, {"loss": "hinge"}, MetricError, "hinge"),
        (mlp, {"lr": 0}, SpecError, "lr=0"),
        (mlp, {"massive": 1}, SpecError, "no setting 'massive' .did you mean 'mass'"),
        (mlp, {"fit": "layers"}, SpecError, "fit='layers': leave it out: a fit takes the gradient of the loss"),
        (mlp, {"schedule": "linear"}, SpecError, "schedule='linear': leave it out: your loop chooses the rates"),
        (mlp, {"loss": "squared_error", "output_metric": "true_vs_rest"}, MetricError, "needs class labels"),
        (mlp, {"seed": -1}, ParameterError, "seed is -1"),
        (lambda: nn.Sequential(nn.LSTM(2, 3)), {}, TracingError, "the algebra has no LSTM"),
        (nn.ReLU, {}, ParameterError, "has no parameters to train"),
        (frozen, {}, ParameterError, "parameter '0.weight' is frozen"),
    ],
)  # fmt: skip
def test_a_wrong_argument_of_an_optimiser_of_torch_is_named(make, settings, error, words):
    with pytest.raises(error, match=words):
        Riemannian(make(), **{"loss": "cross_entropy", **settings})


def test_an_optimiser_of_torch_has_one_group():
    optimizer = Riemannian(mlp(), "cross_entropy")
    with pytest.raises(ParameterError, match="the metric is that of a whole module"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
