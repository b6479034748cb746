"""The two discriminators that ALAD adds: of pairs of images, and of pairs of latents.

Source: Zenati et al., Adversarially Learned Anomaly Detection (2018); layers from the released code
for CIFAR-10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from anokit_bigan.dcgan import DEVIATION, DROPOUT, SLOPE
from anokit_bigan.layers import Judgement, dropout, initialise, normalise, single

if TYPE_CHECKING:
    from torch import Generator

LATENT_LAYERS = (64, 32)
"""Units of the two hidden layers that judge a pair of latents."""


class ImagePairDiscriminator(nn.Module):
    """D_xx(x, x′): ``[B, C, s, s], [B, C, s, s] -> Judgement``; f_xx are its last maps, flattened.

    ``join``: where the two images lie side by side, in their channels, or one above the other.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        join: Literal["channels", "height"],
        *,
        spectral: bool,
    ) -> None:
        super().__init__()
        self.axis = 1 if join == "channels" else 2
        inside, height = (2 * channels, size) if join == "channels" else (channels, 2 * size)
        narrow = max(1, width // 2)
        self.first = nn.Conv2d(inside, narrow, 5, stride=2, padding=2)
        self.second = nn.Conv2d(narrow, width, 5, stride=2, padding=2)
        self.opinion = nn.Linear(width * (height // 4) * (size // 4), 1)
        initialise(self, DEVIATION)
        if spectral:
            normalise(self)

    def forward(self, images: Tensor, others: Tensor, random: Generator | None = None) -> Judgement:
        """Judge pairs; with ``random``, dropout takes part, as in training."""
        maps = torch.cat([images, others], dim=self.axis)
        for layer in (self.first, self.second):
            maps = dropout(leaky_relu(layer(maps), SLOPE), DROPOUT, random)
        features = maps.flatten(1)
        return Judgement(single(self.opinion(features).squeeze(1)), single(features))


class LatentPairDiscriminator(nn.Module):
    """D_zz(z, z′): ``[B, Z], [B, Z] -> Judgement``."""

    def __init__(self, latent_size: int, *, spectral: bool) -> None:
        super().__init__()
        wide, narrow = LATENT_LAYERS
        self.hidden = nn.ModuleList([nn.Linear(2 * latent_size, wide), nn.Linear(wide, narrow)])
        self.opinion = nn.Linear(narrow, 1)
        initialise(self, DEVIATION)
        if spectral:
            normalise(self)

    def forward(
        self, latents: Tensor, others: Tensor, random: Generator | None = None
    ) -> Judgement:
        """Judge pairs; with ``random``, dropout takes part, as in training."""
        features = torch.cat([latents, others], dim=1)
        for layer in self.hidden:
            features = dropout(leaky_relu(layer(features), SLOPE), DROPOUT, random)
        return Judgement(single(self.opinion(features).squeeze(1)), single(features))
