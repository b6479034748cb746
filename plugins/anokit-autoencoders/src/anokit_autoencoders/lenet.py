"""5×5 convolutions with pooling: the autoencoder that Deep SVDD begins with and compares with.

Source: Ruff et al., "Deep One-Class Classification" (2018), the LeNet of its released code. It has
no bias and no affine batch norm anywhere; its images are in [0, 1], and so are those of the sigmoid
that ends it, which are brought to [-1, 1] here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE = 4
"""Height and width of the smallest feature map."""

SLOPE = 0.01
"""Of every leaky ReLU."""

EPS = 1e-4
"""Of every batch norm."""


class SignedSigmoid(nn.Module):
    """2σ(x) − 1: a sigmoid for images in [-1, 1]."""

    def forward(self, values: Tensor) -> Tensor:
        """Return values in [-1, 1], of the same shape."""
        return 2 * torch.sigmoid(values) - 1


def lenet_trunk(channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Return ``[B, C, size, size] -> [B, 16·w]``: max pooling halves the side, down to 4."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise([channels, *widths]):
        layers += [
            nn.Conv2d(inside, outside, kernel_size=5, padding=2, bias=False),
            nn.BatchNorm2d(outside, eps=EPS, affine=False),
            nn.LeakyReLU(SLOPE),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.Flatten())


def lenet_head(features: int, latent_size: int) -> nn.Sequential:
    """Return ``[B, F] -> [B, Z]``, normalised: the encoder's last layer as published."""
    return nn.Sequential(
        nn.Linear(features, latent_size, bias=False),
        nn.BatchNorm1d(latent_size, eps=EPS, affine=False),
    )


def lenet_decoder(channels: int, widths: Sequence[int], latent_size: int) -> nn.Sequential:
    """Return ``[B, Z] -> [B, C, size, size]`` in [-1, 1]; Z is a multiple of 16.

    The latent is read as a feature map of 4×4 pixels; after each convolution but the last the side
    doubles by repeating pixels.
    """
    maps = latent_size // SIDE**2
    layers: list[nn.Module] = [nn.Unflatten(1, (maps, SIDE, SIDE)), nn.LeakyReLU(SLOPE)]
    for inside, outside in pairwise([maps, *reversed(widths)]):
        layers += [
            _same_size(inside, outside),
            nn.BatchNorm2d(outside, eps=EPS, affine=False),
            nn.LeakyReLU(SLOPE),
            nn.Upsample(scale_factor=2, mode="nearest"),
        ]
    return nn.Sequential(*layers, _same_size(widths[0], channels), SignedSigmoid())


def _same_size(inside: int, outside: int) -> nn.ConvTranspose2d:
    """Return ``[B, inside, s, s] -> [B, outside, s, s]``."""
    return nn.ConvTranspose2d(inside, outside, kernel_size=5, padding=2, bias=False)
