"""The optimisers of `rbench_jax.optim` against the methods that they are: the same batches, samples and weights."""

import sys
from functools import partial

import numpy as np
import pytest

import rbench
from helpers.training import SEED, assert_same, trained
from rbench import Conv2d, Flatten, Linear, Tanh, methods
from rbench.errors import LoopError, MetricError, ParameterError, SpecError

jax = pytest.importorskip("jax", reason="JAX is not installed")
from rbench_jax import optim  # noqa: E402

STEPS, BATCH, CLASSES = 6, 6, 3
NET = Linear(4, 5) >> Tanh() >> Linear(5, CLASSES)
IMAGES = Conv2d(1, 2, 2) >> Tanh() >> Flatten() >> Linear(8, CLASSES)


@pytest.fixture(scope="module")
def on_jax():
    return rbench.get_backend("jax", dtype="float64")


def batches_of(shape):
    rng = np.random.default_rng(4)
    return [(rng.normal(size=(BATCH, *shape)), rng.integers(0, CLASSES, BATCH)) for _ in range(STEPS)]


def by_the_method(method, net, batches, rates=None):
    """Parameters after the method's own steps, on NumPy."""
    backend = rbench.get_backend("numpy", dtype="float64")
    return trained(backend, method, net, net.init(backend), batches, rates=rates)


def mean_loss(backend, net, params, x, y):
    z = net.apply(backend, params, x)
    return -jax.nn.log_softmax(z)[jax.numpy.arange(len(y)), y].mean()


def loop(optimizer, net, backend, batches, params=None, state=None):
    params = net.init(backend) if params is None else params
    state = optimizer.init(params) if state is None else state

    @jax.jit
    def step(params, state, x, y):
        gradients = jax.grad(partial(mean_loss, backend, net))(params, x, y)
        moves, state = optimizer.update(gradients, state, params, x=x, y=y)
        return jax.tree.map(jax.numpy.add, params, moves), state

    for x, y in batches:
        params, state = step(params, state, x, y)
    return params, state


SETTINGS = [
    ("riemannian", {"output_metric": "true_vs_rest", "mass": "diagonal"}),
    ("riemannian", {"output_metric": "ggn_mc", "refresh": 2, "weight_decay": 0.1, "kl_clip": 1e-3}),
    ("riemannian", {"mass": "kronecker", "factor_refresh": 4, "refresh": 2, "rows": False}),
    ("kfac", {"refresh": 3}),
]
KINDS = {"riemannian": methods.Riemannian, "kfac": methods.KFAC}


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_an_optimiser_of_jax_makes_the_steps_of_its_method(name, settings, on_jax, backend):
    batches = batches_of((4,))
    given = {"example": batches[0]} if "kl_clip" in settings else {}
    make = partial(getattr(optim, name), NET, loss="cross_entropy", backend=on_jax, lr=0.05, seed=SEED)
    found, _ = loop(make(**given, **settings), NET, on_jax, batches)
    assert_same(found, by_the_method(KINDS[name](lr=0.05, **settings), NET, batches), NET.init(backend))


def test_an_optimiser_of_jax_goes_on_from_its_state_in_a_chain_of_optax(on_jax, backend):
    optax = pytest.importorskip("optax")
    batches = batches_of((1, 3, 3))
    rates = [0.05 * 0.5**t for t in range(STEPS)]
    optimizer = optim.kfac(IMAGES, loss="cross_entropy", backend=on_jax, lr=lambda step: 0.05 * 0.5**step, seed=SEED)
    chain = optax.chain(optimizer, optax.identity())
    params, state = loop(chain, IMAGES, on_jax, batches[:3])
    leaves, structure = jax.tree.flatten(state)
    saved = jax.tree.unflatten(structure, [np.asarray(leaf) for leaf in leaves])
    params, _ = loop(chain, IMAGES, on_jax, batches[3:], params, saved)
    assert_same(params, by_the_method(methods.KFAC(), IMAGES, batches, rates), IMAGES.init(backend))


def test_an_optimiser_of_jax_needs_neither_optax_nor_64_bits(monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    single = rbench.get_backend("jax", dtype="float32")
    optimizer = optim.riemannian(NET, loss="cross_entropy", backend=single, seed=SEED)
    assert isinstance(optimizer, optim.GradientTransformation)
    batches = [(x.astype(np.float32), y.astype(np.int32)) for x, y in batches_of((4,))]
    with jax.enable_x64(False):
        found, state = loop(optimizer, NET, single, batches[:3])
    assert {leaf.dtype.name for leaf in jax.tree.leaves((found, state))} == {"float32", "int32"}
    expected = by_the_method(methods.Riemannian(), NET, batches_of((4,))[:3])
    for one, other in zip(found, expected, strict=True):
        for key in one:
            np.testing.assert_allclose(one[key], other[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"loss": "hinge"}, MetricError, "hinge"),
        ({"massive": 1}, SpecError, "no setting 'massive' .did you mean 'mass'"),
        ({"fit": "scalar"}, SpecError, "fit='scalar': leave it out"),
        ({"seed": -1}, ParameterError, "seed is -1"),
        ({"refresh": 2}, LoopError, "refresh=2 keeps the metric of a batch; give one as `example`"),
        ({"loss": "squared_error", "output_metric": "true_vs_rest"}, MetricError, "needs class labels"),
    ],
)
def test_a_wrong_argument_of_an_optimiser_of_jax_is_named(settings, error, words, on_jax):
    with pytest.raises(error, match=words):
        optim.riemannian(NET, **{"loss": "cross_entropy", "backend": on_jax, **settings})


def test_an_optimiser_of_jax_takes_the_networks_parameters(on_jax):
    optimizer = optim.kfac(NET, loss="cross_entropy", backend=on_jax)
    with pytest.raises(ParameterError, match="1 parameter blocks for a network of 2 layers"):
        optimizer.init(NET.init(on_jax)[:1])
