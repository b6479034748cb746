"""What the length of an encoding says beyond contrast, gradient and brightness of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit.errors import DataError
from anokit.nn import image_brightness, image_contrast, image_gradient
from anokit_scores.tensors import fitted, norms, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip

NAME = "norm-residual"

FLOOR = 1e-6
"""Least length, contrast and gradient whose logarithm is taken: far below one grey level."""

ALIKE = 1e-6
"""Least standard deviation of a covariate over training images that is not taken for rounding."""


class NormResidual(nn.Module):
    """ŷ − y, where y = log ‖ẑ‖₂ and ŷ is its least-squares fit on the training images.

    Fitted are an intercept and three covariates of the image x: the logarithms of its standard
    deviation and of its RMS gradient, and its mean. Logarithms, since an encoder without biases is
    homogeneous: log ‖E(kx)‖ = log k + log ‖E(x)‖. Where it is nothing but a contrast meter, nothing
    is left. As with ``lo``, short encodings score high: those that are shorter than an image of
    such contrast, gradient and brightness has as a rule. Covariates are standardised; one that is
    the same for all training images is left out, and of collinear ones the shortest solution is
    taken.

    The state is mean and scale of the covariates ``[3]``, coefficients ``[4]`` (the intercept
    first), and the pseudo-inverse of the normal equations ``[4, 4]``, all float64.
    """

    mean: Tensor
    scale: Tensor
    coefficients: Tensor
    inverse: Tensor

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        for name in ("mean", "scale", "coefficients", "inverse"):
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Regress log ‖ẑ‖ on the covariates over all training images, by least squares.

        Raises
        ------
        DataError
            Where there is no training image.
        """
        parts = [_observed(trip) for trip in trips]
        if not sum(len(lengths) for lengths, _ in parts):
            raise DataError(f"score '{NAME}' is fitted to training images: expected some, got none")
        # Solved on the CPU, whose LAPACK does the same on every machine with a GPU and without.
        lengths = torch.cat([own for own, _ in parts])
        covariates = torch.cat([own for _, own in parts]).cpu()
        self.mean = covariates.mean(dim=0).to(lengths.device)
        spread = covariates.std(dim=0, correction=0)
        # One that does not vary is divided by infinity, so that it counts nothing later either.
        self.scale = torch.where(spread > ALIKE, spread, torch.inf).to(lengths.device)
        design = self._design(covariates.to(lengths.device)).cpu()
        inverse = torch.linalg.pinv(design.mT @ design, hermitian=True)
        self.coefficients = (inverse @ (design.mT @ lengths.cpu())).to(lengths.device)
        self.inverse = inverse.to(lengths.device)

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return ŷ − y: ``[B, C, H, W], [B, Z] -> [B]``, any sign; log units."""
        return self._residual(trip)[0].float()

    def leave_one_out(self, trip: RoundTrip, places: Tensor) -> Tensor:
        """Return ŷ − y of fitted images, each by the fit to the others: ``[B]``.

        In closed form (Cook and Weisberg 1982, section 2.2.1): the residual over 1 − h, where
        h = xᵀ(XᵀX)⁺x is the image's leverage. An image that alone decides a coefficient (h = 1)
        keeps its residual.
        """
        residual, design = self._residual(trip)
        left = 1 - ((design @ self.inverse) * design).sum(dim=1)
        return (residual / torch.where(left > 1e-9, left, torch.ones_like(left))).float()

    def _residual(self, trip: RoundTrip) -> tuple[Tensor, Tensor]:
        fitted(self.coefficients, NAME)
        lengths, covariates = _observed(trip)
        design = self._design(covariates)
        # Row by row: the product of a matrix rounds by the size of the batch.
        return (design * self.coefficients).sum(dim=1) - lengths, design

    def _design(self, covariates: Tensor) -> Tensor:
        standard = (covariates - self.mean) / self.scale
        return torch.cat([torch.ones_like(standard[:, :1]), standard], dim=1)


def _observed(trip: RoundTrip) -> tuple[Tensor, Tensor]:
    """Return log ‖ẑ‖ ``[B]`` and the covariates ``[B, 3]`` of a trip, float64."""
    image, latent = read(trip, NAME, "image", "latent")
    contrast, gradient = image_contrast(image), image_gradient(image)
    covariates = [_log(contrast), _log(gradient), image_brightness(image)]
    return _log(norms(latent.double())), torch.stack(covariates, dim=1)


def _log(values: Tensor) -> Tensor:
    return values.clamp_min(FLOOR).log()
