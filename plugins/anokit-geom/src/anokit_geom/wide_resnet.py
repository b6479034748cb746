"""A wide residual network with activations before convolutions.

Zagoruyko, Komodakis, "Wide residual networks" (2016); initial weights as GEOM's released code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import relu

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WideResNet"]

STEM = 16
"""Channels after the first convolution."""


class WideResNet(nn.Module):
    """WRN-depth-widen: ``[B, C, s, s] -> [B, classes]`` logits.

    A 3×3 convolution, three groups of (depth − 4)/6 blocks with 16k, 32k and 64k channels, of which
    the second and third halve the resolution, and a linear layer on the mean over all positions.
    Convolutions have no bias; there is no dropout.

    Parameters
    ----------
    channels
        Of the images.
    depth
        6n + 4 with n ≥ 1.
    widen
        k ≥ 1.
    classes
        Number of logits.
    """

    def __init__(self, channels: int, depth: int, widen: int, classes: int) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        self.stem = _convolution(channels, STEM, 3)
        layers: list[nn.Module] = []
        width = STEM
        for group in range(3):
            for block in range(blocks):
                stride = 2 if group > 0 and block == 0 else 1
                layers.append(_Block(width, 16 * widen * 2**group, stride))
                width = 16 * widen * 2**group
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, classes)
        nn.init.uniform_(self.classifier.weight, -1 / math.sqrt(width), 1 / math.sqrt(width))
        nn.init.zeros_(self.classifier.bias)

    def features(self, images: Tensor) -> Tensor:
        """Return what the classifier sees: ``[B, C, s, s] -> [B, 64·widen]``."""
        maps = self.blocks(self.stem(images))
        return relu(self.norm(maps), inplace=True).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of images."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


class _Block(nn.Module):
    """Two 3×3 convolutions, each behind batch norm and a rectifier, and a way around them.

    Where the number of channels changes, the way around is a 1×1 convolution of what the first
    rectifier let through.
    """

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inside)
        self.conv1 = _convolution(inside, outside, 3, stride)
        self.norm2 = nn.BatchNorm2d(outside)
        self.conv2 = _convolution(outside, outside, 3)
        self.around = _convolution(inside, outside, 1, stride) if inside != outside else None

    def forward(self, x: Tensor) -> Tensor:
        # In place: batch norm needs its input for the gradient, not its output.
        active = relu(self.norm1(x), inplace=True)
        inner = relu(self.norm2(self.conv1(active)), inplace=True)
        around = x if self.around is None else self.around(active)
        result: Tensor = self.conv2(inner) + around
        return result


def _convolution(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias, its weights from N(0, 2/fan_in) (He et al., 2015)."""
    layer = nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return layer
