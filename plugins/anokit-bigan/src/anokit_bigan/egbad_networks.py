"""The networks of EGBAD for MNIST: few convolutions, then dense layers.

Source: Zenati et al., Efficient GAN-Based Anomaly Detection (2018); widths, kernels and dropout
from the released code. Its biases before batch norm are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from anokit_bigan.layers import Encoder, Judgement, dropout, initialise, single

if TYPE_CHECKING:
    from torch import Generator

SLOPE = 0.1
"""Of every leaky ReLU."""
DROPOUT = 0.5
DEVIATION = 0.02
"""Of initial weights."""


class EGBADEncoder(Encoder):
    """E: ``[B, C, size, size] -> [B, Z]``, by three 3×3 convolutions and a dense layer."""

    def __init__(self, channels: int, size: int, latent_size: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(4 * width * (size // 4) ** 2, latent_size),
        )
        initialise(self, DEVIATION)

    def forward(self, images: Tensor) -> Tensor:
        """Return the latents of images."""
        return single(self.layers(images))


class EGBADGenerator(nn.Module):
    """G: ``[B, Z] -> [B, C, size, size]`` in [-1, 1], by two dense layers and two convolutions."""

    def __init__(self, channels: int, size: int, latent_size: int, width: int) -> None:
        super().__init__()
        start = (4 * width, size // 4, size // 4)
        values = 4 * width * (size // 4) ** 2
        self.layers = nn.Sequential(
            nn.Linear(latent_size, 32 * width, bias=False),
            nn.BatchNorm1d(32 * width),
            nn.ReLU(),
            nn.Linear(32 * width, values, bias=False),
            nn.BatchNorm1d(values),
            nn.ReLU(),
            nn.Unflatten(1, start),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, channels, 4, stride=2, padding=1),
        )
        initialise(self, DEVIATION)

    def forward(self, latents: Tensor) -> Tensor:
        """Make images from latents."""
        return single(torch.tanh(self.layers(latents)))


class EGBADDiscriminator(nn.Module):
    """D(x, z): ``[B, C, size, size], [B, Z] -> Judgement``; features f(x, z): ``[B, 32·width]``."""

    def __init__(self, channels: int, size: int, latent_size: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 2 * width, 4, stride=2, padding=1)
        self.second = nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2 * width)
        self.of_latent = nn.Linear(latent_size, 16 * width)
        self.joint = nn.Linear(2 * width * (size // 4) ** 2 + 16 * width, 32 * width)
        self.opinion = nn.Linear(32 * width, 1)
        initialise(self, DEVIATION)

    def forward(
        self, images: Tensor, latents: Tensor, random: Generator | None = None
    ) -> Judgement:
        """Judge pairs; with ``random``, dropout takes part, as in training."""
        x = dropout(leaky_relu(self.first(images), SLOPE), DROPOUT, random)
        x = dropout(leaky_relu(self.norm(self.second(x)), SLOPE), DROPOUT, random)
        z = dropout(leaky_relu(self.of_latent(latents), SLOPE), DROPOUT, random)
        both = torch.cat([x.flatten(1), z], dim=1)
        features = dropout(leaky_relu(self.joint(both), SLOPE), DROPOUT, random)
        return Judgement(single(self.opinion(features).squeeze(1)), single(features))
