"""Baseline: what principal components of the training images cannot reconstruct."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn

from anokit.errors import DataError
from anokit_scores.tensors import check_width, fitted, gather, mean_square, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_scores.plugin import PixelPCAOptions

FULL_LIMIT = 2e9
"""Largest N · D · min(N, D) for a full decomposition: seconds on two cores."""

RANDOMISED_COMPONENTS = 512
"""Components that a randomised decomposition looks for where a share of variance is asked for."""


class PixelPCA(nn.Module):
    """Mean over pixels of (x − x̂)², x̂ being x projected on principal components of training.

    The components come from scikit-learn; their arrays are the state, and scoring is in torch.
    """

    max_fit_images = 5_000
    mean: Tensor
    components: Tensor

    def __init__(self, options: PixelPCAOptions) -> None:
        super().__init__()
        self.kept = options.components
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("components", torch.empty(0, 0))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Find mean ``[D]`` and components ``[K, D]``, D = C·H·W, of the training images.

        Raises
        ------
        DataError
            Where more components are asked for than N images of D values can have.
        """
        images = gather(trips, "pixel-pca", "image").flatten(1)
        most = min(images.shape)
        if self.kept > most:
            raise DataError(
                f"score 'pixel-pca': components = {self.kept}, but {len(images)} training images "
                f"of {images.shape[1]} values have at most {most}: set components lower"
            )
        mean, components = principal_components(images.cpu().numpy(), self.kept)
        self.mean = torch.from_numpy(mean).to(images)
        # LAPACK's arrays are column-major, which files of tensors do not take.
        self.components = torch.from_numpy(np.ascontiguousarray(components)).to(images)

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return the reconstruction error: ``[B, C, H, W] -> [B]``, ≥ 0."""
        return mean_square(self._residual(trip))

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of (x − x̂)²: ``[B, H, W]``; its mean is the score."""
        return self._residual(trip).square().mean(dim=1)

    def _residual(self, trip: RoundTrip) -> Tensor:
        (image,) = read(trip, "pixel-pca", "image")
        flat = image.flatten(1)
        mean = fitted(self.mean, "pixel-pca")
        check_width(flat, len(mean), "pixel-pca")
        centred = flat - mean
        return (centred - centred @ self.components.T @ self.components).reshape(image.shape)


def principal_components(
    images: npt.NDArray[np.float32], kept: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return mean ``[D]`` and principal components ``[K, D]`` of ``images`` ``[N, D]``.

    ``kept`` below 1 is the share of variance that K components explain, else K itself. A large set
    (`FULL_LIMIT`) is decomposed by randomised SVD with a fixed seed, into at most
    `RANDOMISED_COMPONENTS` where a share is asked for. Images that are all alike have K = 0.
    """
    mean = images.mean(axis=0)
    if np.array_equal(images.min(axis=0), images.max(axis=0)):
        return mean, np.zeros((0, images.shape[1]), dtype=np.float32)
    count, width = images.shape
    if count * width * min(count, width) <= FULL_LIMIT:
        pca = PCA(kept if kept < 1 else int(kept), svd_solver="full").fit(images)
        return pca.mean_, pca.components_
    found = int(kept) if kept >= 1 else min(RANDOMISED_COMPONENTS, count, width)
    pca = PCA(found, svd_solver="randomized", random_state=0).fit(images)
    if kept < 1:
        explained = np.cumsum(pca.explained_variance_ratio_)
        found = int(np.searchsorted(explained, kept, side="right")) + 1
    return pca.mean_, pca.components_[:found]
