"""Convolutions, pools and gains: what they equal, what they refuse, and how they start."""

import numpy as np
import pytest

import rbench
from rbench import AvgPool2d, Conv2d, Copy, Flatten, Linear, MaxPool2d, ScaleShift, Tanh
from rbench.errors import ParameterError, ShapeError
from rbench.solvers import SOLVERS
from rbench.testing._networks import flat

BATCH, ROWS = 5, 2


def pull(backend, net, params, x, rows):
    """Outputs, cotangents at the inputs, and the layers' rows as matrices (batch, rows, n), weight then bias."""
    (y,), tape = net.forward(backend, params, (x,))
    (at_inputs,), layers = net.pullback(backend, params, tape, (rows.reshape(BATCH, ROWS, *y.shape[1:]),))
    found = []
    for layer in layers:
        weight = np.einsum("bkto,bti->bkoi", layer.cotangents, layer.inputs).reshape(BATCH, ROWS, -1)
        found.append(np.concatenate([weight, *[layer.cotangents.sum(axis=2)] * layer.bias], axis=2))
    return y.reshape(BATCH, -1), at_inputs.reshape(BATCH, ROWS, -1), *found


def close(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


SAME = {
    "one pixel": (Conv2d(4, 3, 1) >> Flatten(), Linear(4, 3), (4, 1, 1)),
    "one pixel, no bias": (Conv2d(4, 3, 1, bias=False) >> Flatten(), Linear(4, 3, bias=False), (4, 1, 1)),
    "the whole image": (Conv2d(2, 3, 3) >> Flatten(), Linear(18, 3), (2, 3, 3)),
    "the whole image, one long stride": (Conv2d(2, 3, 3, stride=7) >> Flatten(), Linear(18, 3), (2, 3, 3)),
}
"""A convolution, the linear layer that it is, and the images' shape."""


@pytest.mark.parametrize("name", SAME)
def test_a_convolution_that_is_a_linear_layer(name, backend, rng):
    conv, linear, shape = SAME[name]
    block = {key: rng.normal(size=size) for key, size in linear.shapes.items()}
    folded = {**block, "weight": block["weight"].reshape(conv.layers[0].weight_shape)}
    x, y, rows = rng.normal(size=(BATCH, *shape)), rng.integers(0, 3, BATCH), rng.normal(size=(BATCH, ROWS, 3))
    both = (conv, (folded,), x), (linear, (block,), x.reshape(BATCH, -1))
    for one, other in zip(*(pull(backend, *given, rows) for given in both), strict=True):
        close(one, other)
    for solver in SOLVERS:
        options = {"loss": "cross_entropy", "solver": solver, "backend": backend}
        one, other = (flat(rbench.riemannian_gradient(*given, y, **options)[0]) for given in both)
        close(one, other)
    assert conv.layers[0].n_parameters == linear.n_parameters


def pooling(channels, kernel):
    """The weight of a convolution that takes means."""
    return np.broadcast_to(np.eye(channels)[:, :, None, None], (channels, channels, kernel, kernel)) / kernel**2


def gains(block):
    return {"weight": np.diag(block["weight"])[:, :, None, None], "bias": block["bias"]}


def test_a_mean_pool_is_a_convolution(backend, rng):
    x, rows = rng.normal(size=(BATCH, 3, 5, 4)), rng.normal(size=(BATCH, ROWS, 12))
    conv = Conv2d(3, 3, 2, stride=2, bias=False)
    expected = pull(backend, conv, ({"weight": pooling(3, 2)},), x, rows)
    for one, other in zip(pull(backend, AvgPool2d(2), (), x, rows), expected[:2], strict=True):
        close(one, other)


def test_gains_are_a_convolution_without_mixing(backend, rng):
    block = {"weight": rng.normal(size=3), "bias": rng.normal(size=3)}
    x, rows = rng.normal(size=(BATCH, 3, 4, 2)), rng.normal(size=(BATCH, ROWS, 24))
    *ours, own = pull(backend, ScaleShift(3), (block,), x, rows)
    *expected, all_weights = pull(backend, Conv2d(3, 3, 1), (gains(block),), x, rows)
    for one, other in zip(ours, expected, strict=True):
        close(one, other)
    close(own, all_weights[:, :, [0, 4, 8, 9, 10, 11]])


@pytest.mark.parametrize("pool", [AvgPool2d(1), MaxPool2d(1)])
def test_pools_of_single_pixels_change_nothing(pool, backend, rng):
    x, rows = rng.normal(size=(BATCH, 2, 3, 4)), rng.normal(size=(BATCH, ROWS, 24))
    y, at_inputs = pull(backend, pool, (), x, rows)
    np.testing.assert_array_equal(y, x.reshape(BATCH, -1))
    np.testing.assert_array_equal(at_inputs, rows)


def test_a_shifted_image_is_a_shifted_result(backend, rng):
    conv, x = Conv2d(2, 3, 3, stride=2), rng.normal(size=(BATCH, 2, 9, 8))
    params = conv.init(backend, seed=1)
    whole, moved = (conv.apply(backend, params, image) for image in (x, x[:, :, 2:, 4:]))
    close(whole[:, :, 1:, 2:], moved)


MODULES = [
    Conv2d(2, 3, 3),
    Conv2d(2, 3, 3, stride=2),
    Conv2d(2, 3, 3, padding=1, bias=False),
    Conv2d(1, 8, 5, 3, 2, False),
    AvgPool2d(2),
    MaxPool2d(3),
    ScaleShift(4),
    ScaleShift(4, scale=0.25),
    Copy() >> ((Conv2d(2, 2, 3, padding=1) >> Tanh()) * ScaleShift(2)),
]


@pytest.mark.parametrize("module", MODULES, ids=repr)
def test_the_words_of_a_module_make_it_again(module):
    again = eval(repr(module), vars(rbench) | {name: getattr(rbench, name) for name in rbench.__all__})
    assert again == module
    assert hash(again) == hash(module)


IMAGES = ((2, 5, 4),)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Conv2d(3, 2, 3).out_space(IMAGES),
            r"Conv2d\(3, 2, 3\) takes \(3, any, any\), but is given \(2, 5, 4\)",
        ),
        (lambda: Conv2d(2, 2, 3).out_space(((2, 5),)), r"takes \(2, any, any\), but is given \(2, 5\)"),
        (lambda: Conv2d(2, 2, 5).out_space(IMAGES), r"Conv2d\(2, 2, 5\) does not fit into images of \(2, 5, 4\); pad"),
        (lambda: Linear(3, 4) >> Conv2d(4, 2, 1), r"takes \(4, any, any\), but is given \(4\)"),
        (lambda: Conv2d(2, 3, 3) >> Conv2d(2, 3, 3), r"takes \(2, any, any\), but is given \(3, any, any\)"),
        (lambda: Conv2d(2, 3, 3) >> Linear(3, 2), r"takes \(3\), but is given \(3, any, any\)"),
        (lambda: Copy() >> Conv2d(2, 3, 3), "takes one wire, but is given 2"),
        (lambda: Linear(3, 4) >> AvgPool2d(2), r"takes images \(channels, height, width\), but is given \(4\)"),
        (lambda: MaxPool2d(2).out_space(((4, 4),)), r"takes images .*, but is given \(4, 4\)"),
        (lambda: AvgPool2d(5).out_space(IMAGES), r"AvgPool2d\(5\) does not fit into images of \(2, 5, 4\); take"),
        (lambda: ScaleShift(3).out_space(IMAGES), r"takes \(3, …\), but is given \(2, 5, 4\)"),
        (lambda: Linear(3, 4) >> ScaleShift(3), r"takes \(3, …\), but is given \(4\)"),
        (lambda: Conv2d(0, 2, 3), "Conv2d: in_channels is 0; give an integer of at least 1"),
        (lambda: Conv2d(2, 1.5, 3), "Conv2d: out_channels is 1.5"),
        (lambda: Conv2d(2, 2, (3, 3)), r"Conv2d: kernel is \(3, 3\)"),
        (lambda: Conv2d(2, 2, 3, stride=0), "Conv2d: stride is 0"),
        (lambda: Conv2d(2, 2, 3, padding=-1), "Conv2d: padding is -1; give an integer of at least 0"),
        (lambda: Conv2d(2, 2, 3, padding="same"), "Conv2d: padding is 'same'"),
        (lambda: Conv2d(2, 2, 3, padding=True), "Conv2d: padding is True"),
        (lambda: AvgPool2d(0), "AvgPool2d: kernel is 0"),
        (lambda: MaxPool2d(2.0), "MaxPool2d: kernel is 2.0"),
        (lambda: MaxPool2d(np.float64(2)), "MaxPool2d: kernel is np.float64"),
        (lambda: Conv2d(2, 2, np.ones(1)), "Conv2d: kernel is array"),
        (lambda: ScaleShift(-1), "ScaleShift: channels is -1"),
    ],
)
def test_what_does_not_fit(make, words):
    with pytest.raises(ShapeError, match=words):
        make()


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array])
def test_sizes_may_be_any_kind_of_integer(kind):
    pairs = [
        (Conv2d(kind(2), kind(3), kind(3), stride=kind(2), padding=kind(1)), Conv2d(2, 3, 3, stride=2, padding=1)),
        (MaxPool2d(kind(2)), MaxPool2d(2)),
        (ScaleShift(kind(2)), ScaleShift(2)),
        (Linear(kind(4), kind(3)), Linear(4, 3)),
    ]
    for module, plain in pairs:
        assert (repr(module), module) == (repr(plain), plain)
        assert type(getattr(module, next(iter(vars(module))))) is int


@pytest.mark.parametrize("scale", ["x", float("nan"), float("inf"), True, None])
def test_a_gain_is_a_finite_number(scale):
    with pytest.raises(ParameterError, match=f"ScaleShift: scale is {scale!r}; give a finite number"):
        ScaleShift(2, scale=scale)


@pytest.mark.parametrize(
    ("module", "space"),
    [
        (Conv2d(2, 3, 3, stride=2, padding=1), (3, 3, 2)),
        (Conv2d(2, 3, 2, stride=4), (3, 1, 1)),
        (Conv2d(2, 3, 4, padding=2), (3, 6, 5)),
        (AvgPool2d(2), (2, 2, 2)),
        (MaxPool2d(3), (2, 1, 1)),
        (ScaleShift(2), (2, 5, 4)),
    ],
)
def test_the_announced_shape_is_the_one_that_comes(module, space, backend, rng):
    assert module.out_space(IMAGES) == (space,)
    y = module.apply(backend, module.init(backend), rng.normal(size=(BATCH, *IMAGES[0])))
    assert y.shape == (BATCH, *space)


@pytest.mark.parametrize(
    ("scheme", "variance"), [("glorot", 2 / (16 * 9 + 32 * 9)), ("lecun", 1 / (16 * 9)), ("he", 2 / (16 * 9))]
)
def test_fans_count_the_kernels_pixels(scheme, variance, backend):
    first, affine, second = (Conv2d(16, 32, 3) >> ScaleShift(32, scale=0.5) >> Conv2d(32, 1, 3, bias=False)).init(
        backend, seed=3, scheme=scheme
    )
    weight = first["weight"]
    assert weight.shape == (32, 16, 3, 3)
    assert np.var(weight) == pytest.approx(variance, rel=0.05)
    assert 0.99 * np.sqrt(3 * variance) < np.abs(weight).max() <= np.sqrt(3 * variance)
    assert not first["bias"].any()
    assert set(second) == {"weight"}
    np.testing.assert_array_equal(affine["weight"], np.full(32, 0.5))
    np.testing.assert_array_equal(affine["bias"], np.zeros(32))


def test_no_such_scheme(backend):
    with pytest.raises(ParameterError, match="no initial scheme is called 'big'; there are: glorot, lecun, he"):
        Conv2d(2, 3, 3).init(backend, scheme="big")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"weight": np.ones((3, 18)), "bias": np.ones(3)}, r"weight has shape \(3, 18\), not \(3, 2, 3, 3\)"),
        ({"weight": np.ones((3, 2, 3, 3)), "bias": np.ones((3, 1, 1))}, r"bias has shape \(3, 1, 1\), not \(3,\)"),
    ],
)
def test_parameters_that_do_not_fit(block, words, backend, rng):
    net, tail = Conv2d(2, 3, 3) >> Flatten() >> Linear(18, 3), {"weight": np.ones((3, 18)), "bias": np.ones(3)}
    with pytest.raises(ShapeError, match=words):
        rbench.loss_gradient(
            net, (block, tail), rng.normal(size=(2, *IMAGES[0])), [0, 1], loss="cross_entropy", backend=backend
        )
