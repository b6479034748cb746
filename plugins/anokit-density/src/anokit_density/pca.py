"""What principal components of the training set cannot reconstruct."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from anokit.nn import Detector, FieldScore, field_score
from anokit_density.components import check_count, principal_components

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_density.plugin import PCAOptions, PixelPCAOptions


class Subspace(Detector):
    """Mean over values of (x − x̂)², x̂ being x projected on principal components of training.

    The components come from scikit-learn; their arrays are the state, and scoring is in torch.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, name: str, components: float) -> None:
        super().__init__()
        self.name = name
        self.kept = components
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("components", torch.empty(0, 0))

    def fit(self, rows: Tensor) -> None:
        """Find mean ``[D]`` and components ``[K, D]`` of ``[N, D]``.

        Raises
        ------
        DataError
            Where more components are asked for than N rows of D values can have.
        """
        self._fit(rows, self.kept)

    def refit(self, rows: Tensor) -> None:
        """Find mean and components of ``[N, D]``, as many of them as before."""
        self._fit(rows, min(len(self.components), *rows.shape) or self.kept)

    def _fit(self, rows: Tensor, kept: float) -> None:
        values = rows.cpu().numpy()
        check_count(self.name, kept, values)
        mean, components, _ = principal_components(values, kept)
        self.mean = torch.from_numpy(mean).to(rows)
        self.components = torch.from_numpy(components).to(rows)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the reconstruction error: ``[R, D] -> [R]``, ≥ 0."""
        return self.residual(rows).square().mean(dim=1)

    def residual(self, rows: Tensor) -> Tensor:
        """Return x − x̂: ``[R, D] -> [R, D]``."""
        centred = rows - self.mean
        return centred - centred @ self.components.T @ self.components


class ImageSubspaceScore(FieldScore):
    """The reconstruction error of images, with the map that it is the mean of."""

    detector: Subspace

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of (x − x̂)²: ``[B, H, W]``; its mean is the score."""
        self(trip)  # checks what map reads
        image = self.read(trip)
        return self.detector.residual(image.flatten(1)).reshape(image.shape).square().mean(dim=1)


def pca(options: PCAOptions, name: str = "pca") -> FieldScore:
    """Return the score ``pca``."""
    detector = Subspace(name, options.components)
    if options.on == "image":
        return ImageSubspaceScore(detector, name, options)
    return field_score(detector, name, options)


def pixel_pca(options: PixelPCAOptions) -> FieldScore:
    """Return the baseline ``pixel-pca``: `pca` under the name that messages should print."""
    return pca(options, "pixel-pca")
