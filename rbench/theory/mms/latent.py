"""Latent diffusion: a network that removes noise from latents of images, learned by minimizing movements."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from rbench.backend import Backend
from rbench.modules import Module
from rbench.random import generator
from rbench.tasks.networks import Widths, mlp
from rbench.theory.mms.encodings import Encoding, Source, encoded
from rbench.theory.mms.energies import Energy, Values, norm
from rbench.theory.mms.tasks import MovementTask, Points

LOW, HIGH = 0.2, 5.0
"""The noise's deviation σ: log-uniform between these when learning, from high to low when sampling."""

HELD_OUT, SAMPLES, SHOWN, STEPS = 1000, 360, 24, 20
"""Noisy latents held out; samples drawn, those of them shown, and steps of the sampler."""

Denoiser = Callable[[Values, Values], Values]
"""D(x, σ) (n, latent), given noisy latents (n, latent) and deviations (n, 1)."""


class LatentDiffusion(MovementTask):
    """u(x, σ) is to be the clean latent z of x = z + σε: E[u] = ½‖u − z‖² over draws of z, σ and ε.

    Over all draws E has the minimiser D*(x, σ) = E[z | x, σ] = Σ_i z_i softmax_i(−|x − z_i|²/2σ²) for training latents
    z_i, the exact denoiser. With the same draws in each outer step E is that of N points, whose minimiser is their z.
    With fresh ones the reference are noisy latents of the test images, and the exact trajectory is that towards D*.

    Attributes:
        source: `digits`, by 8 principal components; `mnist`, by an autoencoder that is trained in the cell.
        draws: `fixed` or `fresh`.
        latent: size of z.
        count: N, draws in an outer step.
    """

    name: ClassVar[str] = "latent-diffusion"
    summary: ClassVar[str] = "a network learns to remove noise from latents of images"
    always: ClassVar[tuple[str, ...]] = ("source", "draws")
    source: Source = Field("digits", alias="data")
    draws: Literal["fixed", "fresh"] = "fixed"
    latent: int = Field(8, ge=1, le=64)
    count: PositiveInt = 128
    hidden: Widths = (64, 64)

    @property
    def data(self) -> str | None:
        return "mnist-autoencoder" if self.source == "mnist" else None

    def network(self) -> Module:
        return mlp((self.latent + 1, *self.hidden, self.latent), "tanh")

    def movement_energy(self) -> Energy:
        return Energy("quadratic")

    def points(self, backend: Backend, seed: int) -> Points:
        return _Noisy(self, encoded(self.source, self.latent, backend), seed)


@dataclass(frozen=True)
class _Noisy(Points):
    task: LatentDiffusion
    encoding: Encoding
    seed: int

    @property
    def fixed(self) -> bool:
        return self.task.draws == "fixed"

    def at(self, k: int) -> tuple[Values, Values]:
        stream = generator(self.seed, "data", 0 if self.fixed else k)
        z, x, sigma = noisy(self.encoding.train, self.task.count, stream)
        return inputs(x, sigma), z

    def reference(self) -> tuple[Values, Values]:
        if self.fixed:
            return self.at(0)
        x, sigma = self.held_out()
        return inputs(x, sigma), self.exact(x, sigma)

    def held_out(self) -> tuple[Values, Values]:
        """Noisy latents of test images."""
        return noisy(self.encoding.test, HELD_OUT, generator(self.seed, "split"))[1:]

    def exact(self, x: Values, sigma: Values) -> Values:
        """D*(x, σ)."""
        from scipy.spatial.distance import cdist
        from scipy.special import softmax

        z = self.encoding.train
        weights = softmax(-cdist(x, z, "sqeuclidean") / (2 * sigma**2), axis=1)
        mean: Values = weights @ z
        return mean

    def judged(self, function: Callable[[Values], Values]) -> tuple[dict[str, float], dict[str, Any]]:
        def learned(x: Values, sigma: Values) -> Values:
            return function(inputs(x, sigma))

        x, sigma = self.held_out()
        exact = self.exact(x, sigma)
        start = generator(self.seed, "samples").normal(size=(SAMPLES, self.task.latent))
        samples = {"exact denoiser": sampled(self.exact, start), "network": sampled(learned, start)}
        figures = {
            "denoiser_distance": norm(learned(x, sigma) - exact),
            "zero_distance": norm(exact),
            "energy_distance": energy_distance(samples["network"], self.encoding.test),
            "energy_distance_exact": energy_distance(samples["exact denoiser"], self.encoding.test),
        }
        shown = {"test images": self.encoding.test, **samples}
        pixels = {title: np.rint(255 * self.encoding.decode(z[:SHOWN])).astype(int) for title, z in shown.items()}
        return figures, {"pictures": {title: images.tolist() for title, images in pixels.items()}}


def noisy(latents: Values, count: int, random: np.random.Generator) -> tuple[Values, Values, Values]:
    """Latents z (n, latent) drawn with replacement, z + σε, and σ (n, 1)."""
    z = latents[random.integers(0, len(latents), count)]
    sigma = np.exp(random.uniform(np.log(LOW), np.log(HIGH), (count, 1)))
    return z, z + sigma * random.normal(size=z.shape), sigma


def inputs(x: Values, sigma: Values) -> Values:
    """What the network takes: x/√(1 + σ²), which has unit variance, and log σ."""
    return np.concatenate([x / np.sqrt(1 + sigma**2), np.log(sigma)], axis=1)


def sampled(denoiser: Denoiser, start: Values, steps: int = STEPS) -> Values:
    """Latents by the flow dx/dσ = (x − D(x, σ))/σ from high to low σ (Song et al. 2021), by Heun's steps; at last D.

    `start` is standard normal, (n, latent).
    """
    levels = np.geomspace(HIGH, LOW, steps + 1)
    x = start * np.sqrt(1 + HIGH**2)
    for here, there in pairwise(levels):
        slope = (x - denoiser(x, np.full((len(x), 1), here))) / here
        ahead = x + (there - here) * slope
        x = x + (there - here) * (slope + (ahead - denoiser(ahead, np.full((len(x), 1), there))) / there) / 2
    return denoiser(x, np.full((len(x), 1), LOW))


def energy_distance(one: Values, other: Values) -> float:
    """2E|X − Y| − E|X − X'| − E|Y − Y'| without bias (Székely and Rizzo 2013); 0 for equal distributions."""
    from scipy.spatial.distance import cdist

    within = [cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (one, other)]
    return float(2 * cdist(one, other).mean() - sum(within))
