"""Scores of what probabilistic autoencoders say of an image and of its code."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip
    from anokit_autoencoders.plugin import ElboOptions


class Elbo:
    """Minus the evidence lower bound of an image, in nats: E[½ ‖x − x̂‖² / σ²] + β·KL.

    Both terms are sums, over pixels and over components of the latent, and are those that the
    backbone was trained by; the constant ½·N·log(2πσ²) of N values is left out. With β = 0 and the
    backbone's ``draws`` ≥ 1 it is minus An and Cho's reconstruction probability, the mean of log
    p(x|z) over draws of z.

    Source: Kingma and Welling (2014), equation 3; An and Cho, "Variational Autoencoder based
    Anomaly Detection using Reconstruction Probability" (2015).
    """

    def __init__(self, options: ElboOptions) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return −ELBO: ``[B], [B] -> [B]``, ≥ 0."""
        error, kl = trip.extra["reconstruction_error"], trip.extra["kl_divergence"]
        return error + self.options.beta * kl

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of (x − x̂)²: ``[B, H, W]``; the KL has no place in the image."""
        return (trip.image - trip.image_hat).square().mean(dim=1)


class LatentLikelihood:
    """−log p(ẑ) under the prior N(0, I), in nats: ½ ‖ẑ‖² + ½·Z·log 2π.

    Long codes are anomalous. Lo of Berg et al. says the opposite, and rightly so: its encoder knows
    no prior, whereas this one was made to put images where the prior is dense.

    Source: Makhzani et al. (2015), the prior; Beggel et al. (2019), the likelihood as a score.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return −log p: ``[B, Z] -> [B]``."""
        constant = trip.latent.shape[1] * math.log(2 * math.pi) / 2
        return trip.latent.square().sum(dim=1) / 2 + constant
