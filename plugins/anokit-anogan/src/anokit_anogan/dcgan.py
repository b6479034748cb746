"""Generator and discriminator of AnoGAN at 32×32 pixels: a DCGAN (Radford et al., 2016).

Channels and kernels are those of the AnoGAN that was released with ALAD (Zenati et al., 2018). That
code's biases before batch norm, which the norm takes away again, are left out.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

__all__ = ["DCDiscriminator", "DCGenerator", "widths"]

SLOPE = 0.2
FIRST = 4
"""Height and width of the smallest feature maps, in pixels."""


def widths(size: int, width: int) -> list[int]:
    """Return the channels at size/2, size/4, … 4 pixels: doubled each time, up to 8·width."""
    halvings = (size // FIRST).bit_length() - 1
    return [width * min(2**level, 8) for level in range(halvings)]


class DCGenerator(nn.Module):
    """G: ``[B, Z] -> [B, C, size, size]`` in [-1, 1], by 4×4 transposed convolutions."""

    def __init__(self, channels: int, size: int, latent_size: int, width: int) -> None:
        super().__init__()
        rising = widths(size, width)[::-1]
        self.first = nn.ConvTranspose2d(latent_size, rising[0], FIRST, bias=False)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False)
            for a, b in pairwise(rising)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in rising)
        self.to_image = nn.ConvTranspose2d(rising[-1], channels, 4, stride=2, padding=1)
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Make images from latents."""
        x = z[:, :, None, None]
        for convolution, norm in zip([self.first, *self.convolutions], self.norms, strict=True):
            x = relu(norm(convolution(x)))
        return torch.tanh(self.to_image(x))


class DCDiscriminator(nn.Module):
    """D: ``[B, C, size, size] -> [B]`` logits, by 4×4 convolutions of stride 2.

    The activations at 4×4 pixels are its features f(x), ``[B, F]``.
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        falling = widths(size, width)
        self.from_image = nn.Conv2d(channels, falling[0], 4, stride=2, padding=1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairwise(falling)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in falling[1:])
        self.opinion = nn.Linear(falling[-1] * FIRST**2, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of the probability that an image is a real one."""
        return self.judge(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Return f(x), ``[B, C, size, size] -> [B, F]``."""
        x = leaky_relu(self.from_image(images), SLOPE)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = leaky_relu(norm(convolution(x)), SLOPE)
        return x.flatten(1)

    def judge(self, features: Tensor) -> Tensor:
        """Return the logits of f(x), ``[B, F] -> [B]``."""
        return self.opinion(features).squeeze(1)


def initialise(network: nn.Module) -> None:
    """Draw weights from N(0, 0.01²), from torch's default generator; biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
