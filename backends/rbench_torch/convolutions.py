"""PyTorch's own convolutions."""

import torch
from torch.nn import functional

from rbench.backend import Array
from rbench.windows import Window


class TorchConvolutions:
    """Cross-correlations by `torch.nn.functional.conv2d`, and what autograd would call for its transposes."""

    def apply(self, images: Array, weight: Array, window: Window) -> Array:
        """See `rbench.backend.Convolutions`."""
        return functional.conv2d(images, weight, stride=window.stride, padding=window.padding)

    def pull_images(self, cotangents: Array, weight: Array, window: Window, sizes: tuple[int, int]) -> Array:
        """See `rbench.backend.Convolutions`."""
        images = cotangents.new_empty((cotangents.shape[0], weight.shape[1], *sizes))
        return self._pull(cotangents, images, weight, window, (True, False, False))[0]

    def pull_weight(self, images: Array, cotangents: Array, window: Window) -> Array:
        """See `rbench.backend.Convolutions`."""
        weight = images.new_empty((cotangents.shape[1], images.shape[1], window.kernel, window.kernel))
        return self._pull(cotangents, images, weight, window, (False, True, False))[1]

    def _pull(
        self, cotangents: Array, images: Array, weight: Array, window: Window, wanted: tuple[bool, bool, bool]
    ) -> Array:
        strides, paddings = [window.stride] * 2, [window.padding] * 2
        return torch.ops.aten.convolution_backward(
            cotangents.contiguous(), images, weight, None, strides, paddings, [1, 1], False, [0, 0], 1, wanted
        )
