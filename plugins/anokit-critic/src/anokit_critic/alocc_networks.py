"""The networks of ALOCC: a refiner and a discriminator.

Kernels and channels are those of the released code. Its biases before batch norm, which the norm
takes away again, are left out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from anokit_critic.blocks import SLOPE, doubling, halving
from anokit_critic.judging import at_least_float32

if TYPE_CHECKING:
    from torch import Tensor

HALVINGS = 4
"""Of the discriminator; the refiner has one less."""


class Refiner(nn.Sequential):
    """R: ``[B, C, size, size] -> [B, C, size, size]`` in [-1, 1], through size/8."""

    def __init__(self, channels: int, width: int) -> None:
        falling = [channels, 2 * width, 4 * width, 8 * width]
        rising = [8 * width, 2 * width, width]
        layers: list[nn.Module] = []
        for inside, outside in pairwise(falling):
            layers += [halving(inside, outside), nn.BatchNorm2d(outside), nn.LeakyReLU(SLOPE)]
        for inside, outside in pairwise(rising):
            layers += [doubling(inside, outside), nn.BatchNorm2d(outside), nn.ReLU()]
        super().__init__(*layers, doubling(width, channels, bias=True), nn.Tanh())
        initialise(self)


class Discriminator(nn.Module):
    """D: ``[B, C, size, size] -> [B]`` logits, through size/16."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(HALVINGS)]
        layers: list[nn.Module] = [halving(channels, width, bias=True), nn.LeakyReLU(SLOPE)]
        for inside, outside in pairwise(widths):
            layers += [halving(inside, outside), nn.BatchNorm2d(outside), nn.LeakyReLU(SLOPE)]
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        self.opinion = nn.Linear(widths[-1] * (size // 2**HALVINGS) ** 2, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of the probability that an image is a real one."""
        return self.judge(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Return f(x), ``[B, C, size, size] -> [B, F]``."""
        maps: Tensor = self.trunk(images)
        return maps

    def judge(self, features: Tensor) -> Tensor:
        """Return the logits of f(x), ``[B, F] -> [B]``, at least float32."""
        return at_least_float32(self.opinion(features).squeeze(1))


def initialise(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02²), from torch's default generator; biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
