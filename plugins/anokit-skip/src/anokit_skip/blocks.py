"""Building blocks of DCGAN-like networks: convolutions that halve or double, and their weights."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Generator

SLOPE = 0.2
"""Of every leaky ReLU."""


def halving(inside: int, outside: int) -> nn.Conv2d:
    """Return a 4×4 convolution without bias: ``[B, inside, s, s] -> [B, outside, s/2, s/2]``."""
    return nn.Conv2d(inside, outside, kernel_size=4, stride=2, padding=1, bias=False)


def doubling(inside: int, outside: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    """Return a 4×4 transposed convolution: ``[B, inside, s, s] -> [B, outside, 2s, 2s]``."""
    return nn.ConvTranspose2d(inside, outside, kernel_size=4, stride=2, padding=1, bias=bias)


def trunk_widths(size: int, width: int) -> list[int]:
    """Return the channels of `trunk` from ``size``/2 down to 4 pixels: doubled at each halving."""
    halvings = size.bit_length() - 3
    return [width * 2**level for level in range(halvings)]


def trunk(channels: int, size: int, width: int) -> nn.Sequential:
    """Return convolutions from an image to 4×4 pixels: ``[B, C, size, size] -> [B, w, 4, 4]``.

    w is the last of `trunk_widths`. The first convolution has no batch norm, as in DCGAN.
    """
    widths = trunk_widths(size, width)
    layers: list[nn.Module] = [halving(channels, widths[0]), nn.LeakyReLU(SLOPE)]
    for inside, outside in pairwise(widths):
        layers += [halving(inside, outside), nn.BatchNorm2d(outside), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def initialise(network: nn.Module, generator: Generator | None = None) -> None:
    """Draw a network's weights as DCGAN does, in place.

    Convolutions: N(0, 0.02²), a bias stays as it is. Batch norm: weight N(1, 0.02²), bias 0,
    running statistics stay. Without a generator, torch's default one is drawn from, which the core
    seeds before it constructs a backbone. Radford et al., DCGAN (2016).
    """
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.weight.normal_(0.0, 0.02, generator=generator)
            elif isinstance(layer, nn.BatchNorm2d):
                layer.weight.normal_(1.0, 0.02, generator=generator)
                layer.bias.zero_()
