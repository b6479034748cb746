"""The discriminator of Skip-GANomaly, which is its feature extractor too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from anokit_skip.blocks import trunk, trunk_widths

if TYPE_CHECKING:
    from torch import Tensor


class Judgement(NamedTuple):
    """What the discriminator says of images."""

    logits: Tensor
    """``[B]``: of the probability that an image is a real one"""
    features: Tensor
    """``[B, nz]``, without activation"""


class BasicDiscriminator(nn.Module):
    """Judge images: ``[B, C, size, size] -> Judgement``.

    A `trunk` down to 4×4 pixels, a convolution to ``nz`` features f(x), a classifier on these. The
    classifier is a 3×3 convolution at 1×1 pixel, as published: only its centre ever counts.
    Source: released code of Akcay et al., Skip-GANomaly.
    """

    def __init__(self, channels: int, size: int, width: int, nz: int) -> None:
        super().__init__()
        self.trunk = trunk(channels, size, width)
        self.to_features = nn.Conv2d(trunk_widths(size, width)[-1], nz, kernel_size=4, bias=False)
        self.classifier = nn.Conv2d(nz, 1, kernel_size=3, padding=1, bias=False)

    def forward(self, images: Tensor) -> Judgement:
        """Return logits and features of ``[B, C, size, size]``, both as float32."""
        features = self.to_features(self.trunk(images))
        logits = self.classifier(features)
        return Judgement(logits.flatten().float(), features.flatten(1).float())
