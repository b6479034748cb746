"""A, the score of f-AnoGAN: a residual and what the discriminator makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit_scores.tensors import channel_mean_abs, fitted, gather, mean_square, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_scores.plugin import AOptions


def build_a(options: AOptions) -> FeatureA | CriticA:
    """Build A in the mode of the options; only ``critic`` needs a statistic of training."""
    return FeatureA(options.kappa) if options.mode == "features" else CriticA(options.kappa)


class FeatureA:
    """A = mean (x − x̂)² + κ · mean (f(x) − f(x̂))², f being features of the discriminator.

    Source: Schlegl et al., f-AnoGAN, as in its released code (κ = 1).
    """

    def __init__(self, kappa: float) -> None:
        self.kappa = kappa

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return A: ``[B, C, H, W] ×2, [B, F] ×2 -> [B]``, ≥ 0."""
        names = ("image", "image_hat", "features", "features_hat")
        image, image_hat, features, features_hat = read(trip, "a", *names)
        return mean_square(image - image_hat) + self.kappa * mean_square(features - features_hat)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of |x − x̂|: ``[B, H, W]``."""
        return _residual_map(trip)


class CriticA(nn.Module):
    """A = mean (x − x̂)² + κ · (D(x) − D̄)², D̄ being the mean of D over the training images.

    Berg et al. describe A in words, as depending on the discriminator's output against its average
    output, which is not what f-AnoGAN's code does (`FeatureA`). They give no formula: that D is
    taken of the query, and that the deviation is squared like the other term, is decided here.
    """

    mean: Tensor

    def __init__(self, kappa: float) -> None:
        super().__init__()
        self.kappa = kappa
        self.register_buffer("mean", torch.empty(0))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Take the mean of ``critic`` over all training images."""
        self.mean = gather(trips, "a", "critic").mean()

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return A: ``[B, C, H, W] ×2, [B] -> [B]``, ≥ 0."""
        image, image_hat, critic = read(trip, "a", "image", "image_hat", "critic")
        deviation = critic - fitted(self.mean, "a")
        return mean_square(image - image_hat) + self.kappa * deviation.square()

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of |x − x̂|: ``[B, H, W]``."""
        return _residual_map(trip)


def _residual_map(trip: RoundTrip) -> Tensor:
    image, image_hat = read(trip, "a", "image", "image_hat")
    return channel_mean_abs(image - image_hat)
