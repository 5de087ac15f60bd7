"""PyTorch's own convolutions."""

import torch
from torch.nn import functional

from rbench.backend import Array
from rbench.sliding_window import Window


class TorchConvolutions:
    """Cross-correlations by `torch.nn.functional.conv2d`, and their transposes."""

    def apply(self, images: Array, weight: Array, window: Window) -> Array:
        """See `rbench.backend.Convolutions`."""
        return functional.conv2d(images, weight, stride=window.stride, padding=window.padding)

    def pull_images(self, cotangents: Array, weight: Array, window: Window, sizes: tuple[int, int]) -> Array:
        """See `rbench.backend.Convolutions`."""
        # Pixels beyond the last window.
        rest = [(size + 2 * window.padding - window.kernel) % window.stride for size in sizes]
        return functional.conv_transpose2d(
            cotangents.contiguous(), weight, stride=window.stride, padding=window.padding, output_padding=rest
        )

    def pull_weight(self, images: Array, cotangents: Array, window: Window) -> Array:
        """See `rbench.backend.Convolutions`."""
        shape = (cotangents.shape[1], images.shape[1], window.kernel, window.kernel)
        return torch.nn.grad.conv2d_weight(
            images, shape, cotangents.contiguous(), stride=window.stride, padding=window.padding
        )
