"""Encoder losses. x is a training image, z a sampled latent, G the generator, E the encoder."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import mse_loss

from anokit.plugin import Options
from anokit.types import RoundTrip
from anokit_losses.plugin import AbsoluteOptions, FeatureOptions

__all__ = [
    "ImageDistance",
    "LatentDistance",
    "SquaredImageAndFeatureDistance",
    "SquaredImageDistance",
    "SquaredLatentDistance",
]


class ImageDistance:
    """dI = ‖G(z) − G(E(G(z)))‖₁ on a trip from a latent (Berg et al., equation 1)."""

    def __init__(self, options: AbsoluteOptions) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the distance of image and image_hat, ``[B, C, H, W], [B, C, H, W] -> []``."""
        return _absolute(trip.image, trip.image_hat, self.options)


class LatentDistance:
    """dz = ‖z − E(G(z))‖₁ on a trip from a latent (Berg et al., table 1).

    z is taken as sampled, so that the scale of the sampling sets the length of what E learns.
    """

    def __init__(self, options: AbsoluteOptions) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the distance of latent and latent_hat, ``[B, Z], [B, Z] -> []``."""
        return _absolute(trip.latent, trip.latent_hat, self.options)


class SquaredImageDistance:
    """izi = mean (x − G(E(x)))² on a trip from an image (Schlegl et al., f-AnoGAN)."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the mean squared difference, ``[B, C, H, W], [B, C, H, W] -> []``."""
        return mse_loss(trip.image_hat, trip.image)


class SquaredLatentDistance:
    """ziz = mean (z − E(G(z)))² on a trip from a latent (Schlegl et al., f-AnoGAN)."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the mean squared difference, ``[B, Z], [B, Z] -> []``."""
        return mse_loss(trip.latent_hat, trip.latent)


class SquaredImageAndFeatureDistance:
    """izi_f = mean (x − x̂)² + κ·mean (f(x) − f(x̂))², x̂ = G(E(x)) (Schlegl et al., f-AnoGAN).

    f are features of the discriminator, or whichever the backbone fills.
    """

    def __init__(self, options: FeatureOptions) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the weighted sum of both mean squared differences, a scalar."""
        features = mse_loss(trip.features_hat, trip.features)
        return mse_loss(trip.image_hat, trip.image) + self.options.kappa * features


def _absolute(a: Tensor, b: Tensor, options: AbsoluteOptions) -> Tensor:
    """Return mean |a − b|, or the sum over an image's elements averaged over images."""
    total = (a - b).abs()
    return total.mean() if options.reduction == "mean" else total.flatten(1).sum(1).mean()
