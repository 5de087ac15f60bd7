"""Latents of images: digits by their principal components, MNIST by an autoencoder that is trained here."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from rbench.backend import Backend
from rbench.losses import get_loss
from rbench.methods import KFAC, Problem
from rbench.tasks.autoencoder import MnistAutoencoder
from rbench.tasks.digits import Digits
from rbench.tasks.networks import mlp
from rbench.theory.mms.energies import Values
from rbench.train.batches import Batches
from rbench.train.stepper import Stepper

Source: TypeAlias = Literal["digits", "mnist"]

MOST = 10_000
"""Most images of a part of the data whose latents are taken; the first."""


class Encoding(NamedTuple):
    """Latents of images, whitened: mean zero and covariance I over the training images.

    Attributes:
        train: (n, latent).
        test: (m, latent).
        decode: images (k, side, side) with pixels from 0 to 1, from latents (k, latent).
    """

    train: Values
    test: Values
    decode: Callable[[Values], Values]


class Whitening(NamedTuple):
    """z = (c − mean) · into, and back: c = mean + z · out."""

    mean: Values
    into: Values
    out: Values

    @classmethod
    def of(cls, codes: Values, count: int) -> "Whitening":
        """The whitening of codes (n, p) along their first principal components."""
        mean = codes.mean(axis=0)
        _, sizes, axes = np.linalg.svd(codes - mean, full_matrices=False)
        deviations = sizes[:count] / len(codes) ** 0.5
        return cls(mean, axes[:count].T / deviations, deviations[:, None] * axes[:count])


def encoded(source: Source, latent: int, backend: Backend) -> Encoding:
    """The latents of a data set's images."""
    if source == "digits":
        data = Digits().dataset()
        return _whitened(data.x_train, data.x_test, latent, lambda images: images)
    return _autoencoded(latent, backend)


def _whitened(train: Any, test: Any, latent: int, decode: Callable[[Values], Values]) -> Encoding:
    """The encoding by codes (n, p) and (m, p), and a decoder of codes."""
    mean, into, out = Whitening.of(np.asarray(train, np.float64), latent)

    def images(z: Values) -> Values:
        flat = np.clip(decode(mean + z @ out), 0, 1)
        side = round(flat.shape[1] ** 0.5)
        return flat.reshape(-1, side, side)

    return Encoding((train - mean) @ into, (test - mean) @ into, images)


def _autoencoded(latent: int, backend: Backend) -> Encoding:
    """An autoencoder 784-256-latent-256-784, trained for an epoch of all images by K-FAC with a fit per layer."""
    task = MnistAutoencoder(hidden=(256, latent, 256))
    data = task.dataset(dtype=backend.dtype)
    problem = Problem(backend, task.network(), get_loss(task.loss))
    method = KFAC(refresh=10, fit="layers", schedule="linear")
    stepper = Stepper(problem, method, Batches(problem, data, task.batch_size, 0))
    params = task.initial(problem.net, backend, 0)
    state = stepper.start(params)
    for index in range(stepper.batches.steps_per_epoch):
        params, state, _, _ = stepper.call(index, stepper.batches.steps_per_epoch)(params, state)
    encoder = mlp((data.x_train.shape[1], 256, latent), task.activation)
    decoder = mlp((latent, 256, data.x_train.shape[1]), task.activation)

    def codes(images: Any) -> Values:
        return np.asarray(backend.to_numpy(encoder.apply(backend, params[:2], backend.asarray(images[:MOST]))))

    def decode(codes: Values) -> Values:
        logits = decoder.apply(backend, params[2:], backend.asarray(codes))
        return np.asarray(backend.to_numpy(problem.loss.predictions(backend, logits)), np.float64)

    return _whitened(codes(data.x_train), codes(data.x_test), latent, decode)
