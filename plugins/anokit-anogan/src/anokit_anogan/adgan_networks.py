"""Generator and critic of ADGAN as Golan and El-Yaniv re-implemented it for CIFAR-10.

The critic has batch norm although it has a gradient penalty too, which is one of each image: kept
as published.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from anokit_anogan.dcgan import FIRST, widths

__all__ = ["ADGANCritic", "ADGANGenerator"]


class ADGANGenerator(nn.Module):
    """G: ``[B, Z] -> [B, C, size, size]`` in [-1, 1], by 3×3 transposed convolutions."""

    def __init__(self, channels: int, size: int, latent_size: int, width: int) -> None:
        super().__init__()
        rising = widths(size, width)[::-1]
        self.dense = nn.Linear(latent_size, rising[0] * FIRST**2)
        layers: list[nn.Module] = [nn.BatchNorm2d(rising[0]), nn.ReLU()]
        for inside, outside in pairwise(rising):
            layers += [_doubling(inside, outside), nn.BatchNorm2d(outside), nn.ReLU()]
        self.layers = nn.Sequential(*layers, _doubling(rising[-1], channels), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Make images from latents."""
        return self.layers(self.dense(z).unflatten(1, (-1, FIRST, FIRST)))


class ADGANCritic(nn.Module):
    """D: ``[B, C, size, size] -> [B]``, linear; higher = more real."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        falling = widths(size, width)
        layers: list[nn.Module] = []
        for inside, outside in pairwise([channels, *falling]):
            layers += [
                nn.Conv2d(inside, outside, 3, stride=2, padding=1),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.opinion = nn.Linear(falling[-1] * FIRST**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the critic's values."""
        opinion: Tensor = self.opinion(self.layers(images))
        return torch.squeeze(opinion, 1)


def _doubling(inside: int, outside: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inside, outside, 3, stride=2, padding=1, output_padding=1)
