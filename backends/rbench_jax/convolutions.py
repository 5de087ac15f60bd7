"""XLA's own convolutions."""

import jax
import jax.numpy as jnp

from rbench.backend import Array
from rbench.sliding_window import Window, every


class JaxConvolutions:
    """Cross-correlations by `lax.conv_general_dilated`, and their linear transposes."""

    def apply(self, images: Array, weight: Array, window: Window) -> Array:
        """See `rbench.backend.Convolutions`."""
        padding = [(window.padding, window.padding)] * 2
        return jax.lax.conv_general_dilated(images, weight, [window.stride] * 2, padding)

    def pull_images(self, cotangents: Array, weight: Array, window: Window, sizes: tuple[int, int]) -> Array:
        """See `rbench.backend.Convolutions`."""
        images = jax.ShapeDtypeStruct((cotangents.shape[0], weight.shape[1], *sizes), cotangents.dtype)
        (pulled,) = jax.linear_transpose(lambda x: self.apply(x, weight, window), images)(cotangents)
        return pulled

    def pull_weight(self, images: Array, cotangents: Array, window: Window) -> Array:
        """See `rbench.backend.Convolutions`."""
        shape = (cotangents.shape[1], images.shape[1], window.kernel, window.kernel)
        weight = jax.ShapeDtypeStruct(shape, images.dtype)
        (pulled,) = jax.linear_transpose(lambda w: self.apply(images, w, window), weight)(cotangents)
        return pulled

    def patches(self, images: Array, window: Window) -> Array:
        """Windows (n, channels · kernel², positions)."""
        count, channels, *sizes = images.shape
        edge = (window.padding,) * 2
        starts = range(window.kernel)
        padded = jnp.pad(images, ((0, 0), (0, 0), edge, edge))
        down, across = ([every(start, window.stride, window.positions(size)) for start in starts] for size in sizes)
        # Ten times as fast as `conv_general_dilated_patches`.
        cut = jnp.stack([padded[:, :, i, j] for i in down for j in across], axis=2)
        return jnp.reshape(cut, (count, channels * window.kernel**2, -1))
