"""Plain residuals, of images and of features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anokit_scores.tensors import channel_mean_abs, norms, read

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip
    from anokit_scores.plugin import ResidualOptions


class EuclideanResidual:
    """Lr = ‖Q − R‖₂, without any scaling of query or reconstruction.

    Source: Berg et al., equation 8.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return Lr: ``[B, C, H, W], [B, C, H, W] -> [B]``, ≥ 0."""
        query, reconstruction = read(trip, "lr", "image", "image_hat")
        return norms(query - reconstruction)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of |Q − R|: ``[B, H, W]``."""
        query, reconstruction = read(trip, "lr", "image", "image_hat")
        return channel_mean_abs(query - reconstruction)


class Residual:
    """Mean or sum over one image of |x − x̂| (``l1``) or of (x − x̂)² (``l2``, no root).

    Source of ``l2``, ``mean``: the image term of Skip-GANomaly's released code.
    """

    def __init__(self, options: ResidualOptions) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the residual: ``[B, C, H, W], [B, C, H, W] -> [B]``, ≥ 0."""
        return _reduce(self._elements(trip), self.options)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of the same elements: ``[B, H, W]``.

        Its mean over pixels is the score with ``reduction = "mean"``.
        """
        return self._elements(trip).mean(dim=1)

    def _elements(self, trip: RoundTrip) -> Tensor:
        image, image_hat = read(trip, "residual", "image", "image_hat")
        return _elements(image - image_hat, self.options)


class FeatureResidual:
    """Mean or sum over one image of |f(x) − f(x̂)| (``l1``) or of its square (``l2``, no root).

    Source of ``l2``, ``mean``: the feature term of Skip-GANomaly's and f-AnoGAN's released code.
    """

    def __init__(self, options: ResidualOptions) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the residual: ``[B, F], [B, F] -> [B]``, ≥ 0."""
        features, features_hat = read(trip, "feature-residual", "features", "features_hat")
        return _reduce(_elements(features - features_hat, self.options), self.options)


def _elements(difference: Tensor, options: ResidualOptions) -> Tensor:
    return difference.abs() if options.norm == "l1" else difference.square()


def _reduce(elements: Tensor, options: ResidualOptions) -> Tensor:
    flat = elements.flatten(1)
    return flat.mean(dim=1) if options.reduction == "mean" else flat.sum(dim=1)
