"""Convolutions that halve or double, as both backbones have them."""

from __future__ import annotations

from torch import nn

SLOPE = 0.2
"""Of every leaky ReLU."""


def halving(inside: int, outside: int, *, bias: bool = False) -> nn.Conv2d:
    """Return a 5×5 convolution: ``[B, inside, s, s] -> [B, outside, s/2, s/2]`` for even s."""
    return nn.Conv2d(inside, outside, kernel_size=5, stride=2, padding=2, bias=bias)


def doubling(inside: int, outside: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    """Return a 5×5 transposed convolution: ``[B, inside, s, s] -> [B, outside, 2s, 2s]``."""
    return nn.ConvTranspose2d(
        inside, outside, kernel_size=5, stride=2, padding=2, output_padding=1, bias=bias
    )
