"""Scores in the latent: Lo, the length of an encoding, and what a second encoding differs by."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from anokit_scores.tensors import channel_mean_abs, mean_square, norms, read

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip


class LatentNorm:
    """Lo = −‖ẑ‖₂ / √Nz: anomalies are expected to have short encodings.

    Never positive. That normal encodings are the longer ones is a property of the data, not a law:
    ``norm-typicality`` reads the same cue in both directions.

    Source: Berg et al., equation 4.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return Lo: ``[B, Z] -> [B]``, ≤ 0."""
        (latent,) = read(trip, "lo", "latent")
        return -norms(latent) / math.sqrt(latent.shape[1])


class LatentResidual:
    """Mean over the latent of (ẑ − E(x̂))²: how far an image moves in the latent by a round trip.

    Source: Akcay et al., GANomaly (2018), equation 5, in the form of its released code.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the mean square: ``[B, Z], [B, Z] -> [B]``, ≥ 0."""
        latent, latent_hat = read(trip, "latent-residual", "latent", "latent_hat")
        return mean_square(latent - latent_hat)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of |x − x̂|: ``[B, H, W]``; the paper has no map."""
        image, image_hat = read(trip, "latent-residual", "image", "image_hat")
        return channel_mean_abs(image - image_hat)
