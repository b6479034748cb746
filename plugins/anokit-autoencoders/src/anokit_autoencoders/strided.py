"""Strided convolutions with batch norm: the autoencoder that Golan and El-Yaniv compared with.

Source: Golan and El-Yaniv, "Deep Anomaly Detection Using Geometric Transformations" (2018), the
layers of its released convolutional autoencoder. A bias that batch norm would cancel is left out;
convolutions are padded alike on all sides, and batch norm has PyTorch's constants.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE = 4
"""Height and width of the smallest feature map."""


def strided_trunk(channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Return ``[B, C, size, size] -> [B, 16·w]``: each convolution halves the side, down to 4."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise([channels, *widths]):
        layers += [
            nn.Conv2d(inside, outside, kernel_size=3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Flatten())


def strided_head(features: int, latent_size: int) -> nn.Sequential:
    """Return ``[B, F] -> [B, Z]`` in [-1, 1]: the encoder's last layer as published."""
    return nn.Sequential(nn.Linear(features, latent_size), nn.Tanh())


def strided_decoder(channels: int, widths: Sequence[int], latent_size: int) -> nn.Sequential:
    """Return ``[B, Z] -> [B, C, size, size]`` in [-1, 1], the trunk's widths in reverse."""
    features = widths[-1] * SIDE**2
    layers: list[nn.Module] = [
        nn.Linear(latent_size, features, bias=False),
        nn.BatchNorm1d(features),
        nn.ReLU(),
        nn.Unflatten(1, (widths[-1], SIDE, SIDE)),
    ]
    for inside, outside in pairwise(reversed(widths)):
        layers += [_doubling(inside, outside, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*layers, _doubling(widths[0], channels, bias=True), nn.Tanh())


def _doubling(inside: int, outside: int, *, bias: bool) -> nn.ConvTranspose2d:
    """Return ``[B, inside, s, s] -> [B, outside, 2s, 2s]``."""
    return nn.ConvTranspose2d(
        inside, outside, kernel_size=3, stride=2, padding=1, output_padding=1, bias=bias
    )
