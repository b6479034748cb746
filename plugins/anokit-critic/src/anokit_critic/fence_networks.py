"""The networks of Fence GAN: a generator and a discriminator.

Kernels, channels, norms and initial weights are those of the released code for CIFAR-10; larger
images get more levels of the widest kind, smaller ones fewer. The code's biases before batch norm,
which the norm takes away again, are left out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import leaky_relu

from anokit_critic.blocks import SLOPE, doubling, halving
from anokit_critic.judging import at_least_float32

if TYPE_CHECKING:
    from torch import Tensor

LAST = 2
"""Height and width of the smallest feature maps, in pixels."""


def widths(size: int, width: int) -> list[int]:
    """Return the channels at size/2, size/4, … 2 pixels: doubled each time, up to 8·width."""
    halvings = (size // LAST).bit_length() - 1
    return [width * min(2**level, 8) for level in range(halvings)]


class FenceGenerator(nn.Module):
    """G: ``[B, Z] -> [B, C, size, size]`` in [-1, 1], from 2×2 pixels on."""

    def __init__(self, channels: int, size: int, latent_size: int, width: int) -> None:
        super().__init__()
        rising = widths(size, width)[::-1]
        self.first = nn.Linear(latent_size, rising[0] * LAST**2)
        self.convolutions = nn.ModuleList(doubling(a, b) for a, b in pairwise(rising))
        self.norms = nn.ModuleList(_batch_norm(width) for width in rising)
        self.to_image = doubling(rising[-1], channels, bias=True)
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Make images from latents."""
        first, *rest = self.norms
        x = leaky_relu(first(self.first(z).unflatten(1, (-1, LAST, LAST))), SLOPE)
        for convolution, norm in zip(self.convolutions, rest, strict=True):
            x = leaky_relu(norm(convolution(x)), SLOPE)
        return torch.tanh(self.to_image(x))


class FenceDiscriminator(nn.Module):
    """D: ``[B, C, size, size] -> [B]`` logits, down to 2×2 pixels, where no batch norm follows.

    Parameters
    ----------
    dropout
        Share of the features that `forward` drops where it is given a generator, in [0, 1).
    """

    def __init__(self, channels: int, size: int, width: int, dropout: float) -> None:
        super().__init__()
        falling = [channels, *widths(size, width)]
        layers: list[nn.Module] = []
        for inside, outside in pairwise(falling[:-1]):
            layers += [halving(inside, outside), _batch_norm(outside), nn.LeakyReLU(SLOPE)]
        last = halving(*falling[-2:], bias=True)
        self.trunk = nn.Sequential(*layers, last, nn.LeakyReLU(SLOPE), nn.Flatten())
        self.opinion = nn.Linear(falling[-1] * LAST**2, 1)
        self.dropout = dropout
        initialise(self)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return logits of the probability that an image is a real one.

        With a generator, dropout is drawn from it: `torch.nn.Dropout` draws from the global one,
        which no checkpoint holds.
        """
        features = self.features(images)
        if generator is not None and self.dropout:
            kept = torch.empty_like(features).bernoulli_(1 - self.dropout, generator=generator)
            features = features * kept / (1 - self.dropout)
        return self.judge(features)

    def features(self, images: Tensor) -> Tensor:
        """Return f(x), ``[B, C, size, size] -> [B, F]``."""
        maps: Tensor = self.trunk(images)
        return maps

    def judge(self, features: Tensor) -> Tensor:
        """Return the logits of f(x), ``[B, F] -> [B]``, at least float32."""
        return at_least_float32(self.opinion(features).squeeze(1))


def initialise(network: nn.Module) -> None:
    """Draw weights as Glorot and Bengio (2010) do, normal, from torch's generator; biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return batch norm with the constants of Keras."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
