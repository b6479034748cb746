"""DCGAN-like networks for BiGAN, EGBAD and ALAD: 4×4 convolutions of stride 2.

Channels and kernels at 32×32 pixels are those of the code released with ALAD for CIFAR-10 (Zenati
et al., Adversarially Learned Anomaly Detection, 2018). That code's biases before batch norm, which
the norm takes away again, are left out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from anokit_bigan.layers import Encoder, Judgement, dropout, initialise, normalise, single

if TYPE_CHECKING:
    from torch import Generator

SLOPE = 0.2
"""Of every leaky ReLU."""
DROPOUT = 0.2
DEVIATION = 0.01
"""Of initial weights."""
FIRST = 4
"""Height and width of the smallest feature maps, in pixels."""


def widths(size: int, width: int) -> list[int]:
    """Return the channels at size/2, size/4, … 4 pixels: doubled each time, up to 8·width."""
    halvings = (size // FIRST).bit_length() - 1
    return [width * min(2**level, 8) for level in range(halvings)]


def halving(inside: int, outside: int, *, bias: bool = False) -> nn.Conv2d:
    """Return a convolution ``[B, inside, s, s] -> [B, outside, s/2, s/2]``."""
    return nn.Conv2d(inside, outside, 4, stride=2, padding=1, bias=bias)


class DCEncoder(Encoder):
    """E: ``[B, C, size, size] -> [B, Z]``, by convolutions down to 4×4 pixels and one to 1×1.

    ``spectral``: with spectral norm in every layer, as ALAD has it.
    """

    def __init__(
        self, channels: int, size: int, latent_size: int, width: int, *, spectral: bool = False
    ) -> None:
        super().__init__()
        falling = widths(size, width)
        layers: list[nn.Module] = []
        for inside, outside in pairwise([channels, *falling]):
            layers += [halving(inside, outside), nn.BatchNorm2d(outside), nn.LeakyReLU(SLOPE)]
        layers += [nn.Conv2d(falling[-1], latent_size, FIRST), nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        initialise(self, DEVIATION)
        if spectral:
            normalise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the latents of images."""
        return single(self.layers(images))


class DCGenerator(nn.Module):
    """G: ``[B, Z] -> [B, C, size, size]`` in [-1, 1]: the encoder the other way round."""

    def __init__(self, channels: int, size: int, latent_size: int, width: int) -> None:
        super().__init__()
        rising = widths(size, width)[::-1]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size, rising[0], FIRST, bias=False)]
        for inside, outside in pairwise(rising):
            layers += [nn.BatchNorm2d(inside), nn.ReLU()]
            layers += [nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(rising[-1]), nn.ReLU()]
        layers += [nn.ConvTranspose2d(rising[-1], channels, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        initialise(self, DEVIATION)

    def forward(self, latents: Tensor) -> Tensor:
        """Make images from latents."""
        return single(torch.tanh(self.layers(latents[:, :, None, None])))


class DCDiscriminator(nn.Module):
    """D(x, z): ``[B, C, size, size], [B, Z] -> Judgement``; features f(x, z) are ``[B, 8·width]``.

    An image comes down to 4×4 pixels and a latent through two dense layers, and one dense layer
    sees both. ``spectral``: with spectral norm in every layer, as ALAD has it.
    """

    def __init__(
        self, channels: int, size: int, latent_size: int, width: int, *, spectral: bool = False
    ) -> None:
        super().__init__()
        falling = widths(size, width)
        layers: list[nn.Module] = [halving(channels, falling[0], bias=True), nn.LeakyReLU(SLOPE)]
        for inside, outside in pairwise(falling):
            layers += [halving(inside, outside), nn.BatchNorm2d(outside), nn.LeakyReLU(SLOPE)]
        self.of_image = nn.Sequential(*layers, nn.Flatten())
        seen = 4 * width
        self.of_latent = nn.ModuleList([nn.Linear(latent_size, seen), nn.Linear(seen, seen)])
        self.joint = nn.Linear(falling[-1] * FIRST**2 + seen, 8 * width)
        self.opinion = nn.Linear(8 * width, 1)
        initialise(self, DEVIATION)
        if spectral:
            normalise(self)

    def forward(
        self, images: Tensor, latents: Tensor, random: Generator | None = None
    ) -> Judgement:
        """Judge pairs; with ``random``, dropout takes part, as in training."""
        hidden = latents
        for layer in self.of_latent:
            hidden = dropout(leaky_relu(layer(hidden), SLOPE), DROPOUT, random)
        both = torch.cat([self.of_image(images), hidden], dim=1)
        features = dropout(leaky_relu(self.joint(both), SLOPE), DROPOUT, random)
        return Judgement(single(self.opinion(features).squeeze(1)), single(features))
