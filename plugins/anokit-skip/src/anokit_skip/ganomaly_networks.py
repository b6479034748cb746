"""The networks of GANomaly: encoder, decoder and discriminator.

Source: Akcay et al., GANomaly (2018); widths, kernels and norms from the released code.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit_skip.blocks import doubling, trunk, trunk_widths
from anokit_skip.discriminator import Judgement

if TYPE_CHECKING:
    from torch import Tensor


class LatentEncoder(nn.Sequential):
    """E: ``[B, C, size, size] -> [B, nz]``: a `trunk` to 4×4 pixels, a convolution to 1×1."""

    def __init__(self, channels: int, size: int, width: int, nz: int) -> None:
        to_latent = nn.Conv2d(trunk_widths(size, width)[-1], nz, kernel_size=4, bias=False)
        super().__init__(trunk(channels, size, width), to_latent, nn.Flatten())


class LatentDecoder(nn.Module):
    """Dec: ``[B, nz] -> [B, C, size, size]`` in [-1, 1]: the encoder the other way round."""

    def __init__(self, channels: int, size: int, width: int, nz: int) -> None:
        super().__init__()
        rising = trunk_widths(size, width)[::-1]
        layers: list[nn.Module] = [nn.ConvTranspose2d(nz, rising[0], kernel_size=4, bias=False)]
        for inside, outside in pairwise(rising):
            layers += [nn.BatchNorm2d(inside), nn.ReLU(), doubling(inside, outside)]
        layers += [nn.BatchNorm2d(rising[-1]), nn.ReLU(), doubling(rising[-1], channels)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        """Make images from latents."""
        return torch.tanh(self.layers(latent[:, :, None, None]))


class TrunkDiscriminator(nn.Module):
    """Judge images: ``[B, C, size, size] -> Judgement``; features f(x) are the trunk's 4×4 maps."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.trunk = trunk(channels, size, width)
        self.classifier = nn.Conv2d(trunk_widths(size, width)[-1], 1, kernel_size=4, bias=False)

    def forward(self, images: Tensor) -> Judgement:
        """Return logits ``[B]`` and features ``[B, F]`` of images, both as float32."""
        maps = self.trunk(images)
        return Judgement(self.classifier(maps).flatten().float(), maps.flatten(1).float())
