"""Windows are cut out of images and put back, alike on every backend that is here and on the bare array standard."""

import numpy as np
import pytest

from helpers.registered import get_or_skip
from rbench import MaxPool2d, sliding_window
from rbench.modules.inputs import Patches
from rbench.sliding_window import Window
from rbench.testing._networks import windows

BACKENDS = ["numpy", "torch", "jax", "cupy"]


@pytest.fixture(params=BACKENDS)
def any_backend(request):
    return get_or_skip(request.param)


def test_the_first_of_equal_pixels_gets_the_cotangent(any_backend):
    x = np.array([[[[1.0, 5, 2, 2, 9], [5, 5, 2, 2, 9], [9, 9, 9, 9, 9]]]])
    (y,), tape = MaxPool2d(2).forward(any_backend, (), (any_backend.asarray(x),))
    rows = any_backend.asarray(np.array([[[[[3.0, 4.0]]]]]))
    ((at_inputs,), _) = MaxPool2d(2).pullback(any_backend, (), tape, (rows,))
    assert any_backend.to_numpy(y).tolist() == [[[[5, 2]]]]
    assert any_backend.to_numpy(at_inputs)[0, 0, 0].tolist() == [[0, 3, 4, 0, 0], [0, 0, 0, 0, 0], [0] * 5]


WINDOWS = [
    (Window(1), (6, 5)),
    (Window(3, padding=1), (3, 7)),
    (Window(3, stride=2, padding=1), (6, 5)),
    (Window(2, stride=3), (6, 5)),
    (Window(1, stride=3), (3, 7)),
    (Window(2, stride=2, padding=3), (6, 5)),
    (Window(4, padding=2), (3, 4)),
    (Window(3, stride=3, padding=2), (3, 7)),
    (Window(5, stride=4, padding=1), (3, 3)),
]
"""Windows, and the sizes of the images that they are cut out of."""


@pytest.mark.parametrize(("window", "sizes"), WINDOWS, ids=str)
def test_putting_back_is_the_transpose_of_cutting_out(window, sizes, any_backend, rng):
    images = rng.normal(size=(3, 2, *sizes))
    cut = windows(images, window)
    columns = rng.normal(size=cut.shape)
    given = any_backend.asarray(images), any_backend.asarray(columns)
    ours = any_backend.to_numpy(any_backend.patches(given[0], window))
    back = any_backend.to_numpy(any_backend.scatter(given[1], window, sizes))
    np.testing.assert_array_equal(ours, cut)
    assert (ours * columns).sum() == pytest.approx((images * back).sum(), rel=1e-12)
    np.testing.assert_array_equal(sliding_window.patches(np, images, window), cut)
    for put_back in (sliding_window.scatter, sliding_window.scatter_in_place):
        np.testing.assert_allclose(put_back(np, columns, window, sizes), back, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("window", "sizes"), WINDOWS, ids=str)
def test_convolutions_are_products_with_windows(window, sizes, any_backend, rng):
    """A backend's own, or those that the core makes of windows: the result and both transposes."""
    images, weight = rng.normal(size=(3, 2, *sizes)), rng.normal(size=(4, 2, window.kernel, window.kernel))
    cut = windows(images, window)
    matrix, source = weight.reshape(4, -1), Patches(any_backend, any_backend.asarray(images), window)
    rows = rng.normal(size=(3, 4, cut.shape[2]))
    as_images = any_backend.asarray(rows.reshape(3, 4, *source.grid))
    found = {
        "convolve": (source.convolve(any_backend.asarray(weight)), (matrix @ cut).reshape(as_images.shape)),
        "pull": (
            source.pull(as_images, any_backend.asarray(weight)),
            sliding_window.scatter(np, matrix.T @ rows, window, sizes),
        ),
        "product": (
            source.product(any_backend.asarray(np.swapaxes(rows, 1, 2))),
            np.einsum("bot,bit->oi", rows, cut),
        ),
    }
    assert source.shape == (3, cut.shape[2], cut.shape[1])
    for name, (ours, expected) in found.items():
        np.testing.assert_allclose(
            any_backend.to_numpy(ours), expected, rtol=1e-12, atol=1e-12, err_msg=name, strict=True
        )


@pytest.mark.parametrize(("window", "sizes"), WINDOWS, ids=str)
def test_windows_need_no_more_than_the_array_standard(window, sizes, rng):
    xp = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    images = rng.normal(size=(2, 2, *sizes))
    cut = sliding_window.patches(xp, xp.asarray(images), window)
    expected = sliding_window.patches(np, images, window)
    np.testing.assert_array_equal(np.from_dlpack(cut), expected)
    back = sliding_window.scatter(xp, cut, window, sizes)
    assert isinstance(back, type(cut))
    np.testing.assert_array_equal(np.from_dlpack(back), sliding_window.scatter(np, expected, window, sizes))
