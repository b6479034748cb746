"""The generator of Skip-GANomaly: an encoder and a decoder joined by skip connections."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import leaky_relu, relu

from anokit_skip.blocks import SLOPE, doubling, halving

if TYPE_CHECKING:
    from torch import Tensor


class UNet(nn.Module):
    """Reconstruct images: ``[B, C, size, size] -> [B, C, size, size]`` in [-1, 1].

    log2(size) convolutions halve the image down to 1×1 pixel, as many transposed ones double it
    back, each reading also what the encoder had at its size. Widths: w, 2w, 4w, 8w, 8w, … Batch
    norm stands after every convolution but the first, the bottleneck and the last, which alone has
    a bias. Source: Akcay et al., Skip-GANomaly, section 3; widths and norms from its code.
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        levels = size.bit_length() - 1
        widths = [min(2**level, 8) * width for level in range(levels)]
        self.first = halving(channels, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(halving(inside, outside), nn.BatchNorm2d(outside))
            for inside, outside in pairwise(widths[:-1])
        )
        self.bottleneck = halving(widths[-2], widths[-1])
        # The innermost doubling has no skip beside it: its input is the bottleneck itself.
        insides = [widths[-1], *(2 * w for w in widths[-2:0:-1])]
        self.up = nn.ModuleList(
            nn.Sequential(doubling(inside, outside), nn.BatchNorm2d(outside))
            for inside, outside in zip(insides, widths[-2::-1], strict=True)
        )
        self.last = doubling(2 * widths[0], channels, bias=True)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct ``[B, C, size, size]``."""
        hidden = self.first(images)
        skips = []
        for down in [*self.down, self.bottleneck]:
            # The published code activates in place, so that the skip is the activated tensor. Kept
            # so on purpose; the decoder's ReLU makes it equal to a skip taken before.
            hidden = leaky_relu(hidden, SLOPE)
            skips.append(hidden)
            hidden = down(hidden)
        for up in self.up:
            hidden = torch.cat([skips.pop(), up(relu(hidden))], dim=1)
        return torch.tanh(self.last(relu(hidden)))
