"""The equivalence gate judges convolutions: its oracle is right, and what is wrong is found."""

import numpy as np
import pytest

from rbench import AvgPool2d, MaxPool2d, ScaleShift
from rbench.methods import kronecker
from rbench.modules.inputs import Patches
from rbench.solvers import gram
from rbench.solvers import rows as by_rows
from rbench.testing import _examples as examples
from rbench.testing import _networks as networks
from rbench.testing import cases, short_cases, verify
from rbench_numpy.backend import NumpyBackend


@pytest.mark.parametrize("name", examples.CONVOLUTIONS)
def test_the_oracle_differentiates_convolutions(name, rng):
    """Its Jacobians, along random directions, are central differences."""
    given = examples.example(name)
    for index, layer in enumerate(given.net.layers):
        vector, step = networks.flat(given.params[index]), 1e-5 * rng.normal(size=layer.n_parameters)

        def outputs(flat, index=index, layer=layer):
            block = networks.shaped(flat, layer)
            return networks.forward(given.net, (*given.params[:index], block, *given.params[index + 1 :]), given.x)[0]

        difference = (outputs(vector + step) - outputs(vector - step)) / 2
        np.testing.assert_allclose(given.jacobians[index] @ step, difference, atol=1e-13)


def flipped(real):
    return lambda self, rows, weight: real(self, rows, weight[:, :, ::-1])


def without_the_last(real):
    """The columns of the outputs, but for the last chunk of several."""

    def parts(layer, mass, gradient, start, stop):
        if not start or stop < layer.fan_out:
            yield from real(layer, mass, gradient, start, stop)

    return parts


def without_bias(real):
    """The columns of the outputs; of the weight alone in chunks but the first."""

    def parts(*given):
        yield from list(real(*given))[: 2 if not given[-2] else 1]

    return parts


def across(real):
    def pool(self, backend, windows):
        pooled, chosen = real(self, backend, windows)
        return pooled, np.swapaxes(chosen, 3, 5)

    return pool


def same_positions(real):
    """Rows' products with the sum over t = t' alone."""

    def products(backend, rows, mass):
        given = rows.rows, np.concatenate([rows.inputs, np.ones((*rows.inputs.shape[:2], 1))], axis=2)
        return np.einsum("bkto,clto,bti,cti->kblc", given[0], given[0], given[1], given[1]) / mass.row

    return products


def swapped(real):
    def block(*given):
        found = real(*given)
        return {"weight": found["bias"], "bias": found["weight"]}

    return block


SABOTAGE = {
    "pull, flipped": (Patches, "pull", flipped, {"pullback", "gradient", "convolutions"}),
    "scatter, one pixel off": (
        NumpyBackend, "scatter", lambda real: lambda *given: np.roll(real(*given), 1, axis=2),
        {"patches", "pullback", "convolutions"},
    ),
    "scatter, overlaps overwritten": (
        NumpyBackend, "scatter", lambda real: lambda *given: np.clip(real(*given), -1, 1), {"patches", "pullback"},
    ),
    "no last chunk": (by_rows, "_parts", without_the_last, {"solver gram", "trajectory riemannian"}),
    "no bias in chunks": (by_rows, "_parts", without_bias, {"solver gram", "trajectory riemannian"}),
    "largest pixel, transposed": (MaxPool2d, "pool", across, {"pullback", "convolutions"}),
    "a mean's cotangent times the kernel": (
        AvgPool2d, "pool", lambda real: lambda self, b, w: (real(self, b, w)[0], real(self, b, w)[1] * self.kernel),
        {"pullback", "gradient", "convolutions"},
    ),
    "gains for offsets": (
        ScaleShift, "block", swapped,
        {"convolutions", "solver gram"},
    ),
    "products of one position": (gram, "_row_products", same_positions, {"solver gram", "convolutions"}),
    "inputs summed over positions": (
        kronecker, "input_covariance",
        lambda real: lambda b, rows, sharing: real(b, rows, sharing) * rows.inputs.shape[1],
        {"trajectory kfac"},
    ),
}  # fmt: skip
"""What is replaced, by a wrong one made of the right one, and the checks of the gate that must tell."""


@pytest.mark.parametrize("name", ["convolve", "pull", "product"])
def test_the_short_gate_finds_convolutions_of_few_bits(name, single, monkeypatch):
    """In float32 they are within the tolerance of whole networks."""
    real = getattr(Patches, name)

    def rounded(array):
        mantissa, exponent = np.frexp(array)
        return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent).astype(array.dtype)

    def coarse(self, *arrays):
        return real(Patches(self.backend, rounded(self.data), self.window), *map(rounded, arrays))

    monkeypatch.setattr(Patches, name, coarse)
    missed = [result.case.check for result in verify(single, short_cases()) if not result.passed]
    assert missed == ["convolution products"]


@pytest.mark.parametrize("mistake", SABOTAGE)
def test_the_gate_finds_wrong_convolutions(mistake, backend, monkeypatch):
    owner, name, wrong, expected = SABOTAGE[mistake]
    images = [
        case for case in cases() if any(word in str(case) for word in ("images", "pixels", "2d", "Shift", "patches"))
    ]
    monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))
    checks = {result.case.check for result in verify(backend, images) if not result.passed}
    assert checks >= expected
    assert checks < {case.check for case in images}
