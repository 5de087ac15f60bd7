"""Convolutional networks by name, as expressions of the module algebra."""

import math

from rbench.modules import Add, AvgPool2d, Conv2d, Copy, Flatten, Identity, Linear, Module, ReLU, ScaleShift

BRANCH_GAIN = 0.3
"""Initial gain at the end of a residual branch: blocks start close to their shortcuts, so that signals keep their
size."""


def cnn(channels: int, side: int, outputs: int) -> Module:
    """Three convolutions of 32, 64 and 64 channels with ReLUs, means over 2 × 2 pixels, and a linear layer.

    It takes images (channels, side, side), with a side of 5 pixels or more. The first two convolutions halve the sides:
    at full size most of the work would be at their many positions.
    """
    halving = Conv2d(channels, 32, 3, stride=2, padding=1) >> ReLU() >> Conv2d(32, 64, 3, stride=2, padding=1) >> ReLU()
    features = halving >> Conv2d(64, 64, 3, padding=1) >> ReLU() >> AvgPool2d(2)
    return features >> Flatten() >> Linear(64 * (math.ceil(side / 4) // 2) ** 2, outputs)


def resnet8(channels: int, side: int, outputs: int) -> Module:
    """A residual network of 8 layers (He et al. 2016, with n = 1): 16, 32 and 64 channels, then their means.

    It takes images (channels, side, side).
    """
    stages = _block(16, 16, 1) >> _block(16, 32, 2) >> _block(32, 64, 2)
    stem = Conv2d(channels, 16, 3, padding=1) >> ReLU()
    return stem >> stages >> AvgPool2d(math.ceil(side / 4)) >> Flatten() >> Linear(64, outputs)


def _block(before: int, after: int, stride: int) -> Module:
    """Two convolutions beside a shortcut; a gain at their end replaces batch normalisation."""
    branch = Conv2d(before, after, 3, stride=stride, padding=1) >> ReLU()
    branch = branch >> Conv2d(after, after, 3, padding=1, bias=False) >> ScaleShift(after, BRANCH_GAIN)
    shortcut = Identity() if before == after else Conv2d(before, after, 1, stride=stride, bias=False)
    return Copy() >> (branch * shortcut) >> Add() >> ReLU()
