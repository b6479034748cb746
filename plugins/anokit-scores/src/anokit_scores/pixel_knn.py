"""Baseline: nearest training images in pixel space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit.errors import DataError
from anokit_scores.tensors import check_width, fitted, gather, norms, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_scores.plugin import PixelKNNOptions

MAX_DISTANCES = 2**20
"""Most distances that are in memory at one time: 8 MB."""

MAX_VALUES = 2**23
"""Most values of training images that are in memory as float64 at one time: 64 MB."""


class PixelKNN(nn.Module):
    """Mean Euclidean distance to the k nearest training images, pixels in [-1, 1].

    Exact search over the training images, which are the state: ``[N, C·H·W]`` float32. A training
    image that is scored finds itself among its neighbours, at distance 0.
    """

    max_fit_images = 10_000
    images: Tensor

    def __init__(self, options: PixelKNNOptions) -> None:
        super().__init__()
        self.k = options.k
        self.register_buffer("images", torch.empty(0, 0))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Keep the training images.

        Raises
        ------
        DataError
            Where there are fewer than k.
        """
        images = gather(trips, "pixel-knn", "image").flatten(1)
        if len(images) < self.k:
            raise DataError(
                f"score 'pixel-knn': expected at least k = {self.k} training images, "
                f"got {len(images)}: set k lower or add images"
            )
        self.images = images

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return the mean distance: ``[B, C, H, W] -> [B]``, ≥ 0."""
        queries = read(trip, "pixel-knn", "image")[0].flatten(1)
        train = fitted(self.images, "pixel-knn")
        check_width(queries, train.shape[1], "pixel-knn")
        nearest = nearest_indices(queries, train, self.k)
        # From the differences themselves: exact for copies of a training image too, where the
        # expanded square of the search leaves rounding noise.
        distances = [norms(queries - train[column]) for column in nearest.unbind(dim=1)]
        return torch.stack(distances).mean(dim=0)


def nearest_indices(queries: Tensor, train: Tensor, k: int) -> Tensor:
    """Return which k rows of ``train`` are nearest: ``[B, D], [N, D] -> [B, k]`` int64.

    Distances are ‖q‖² + ‖t‖² − 2 q·t, in float64: a matrix product is several times as fast as
    differences, and in float32 its rounding would make the choice depend on the batch. Training
    images are visited in blocks, so that memory is bounded for any N and B.
    """
    # Apple's GPUs have no float64.
    device = torch.device("cpu") if queries.is_mps else queries.device
    wide = queries.to(device, torch.float64)
    squares = wide.square().sum(dim=1, keepdim=True)
    best = torch.full((len(wide), 0), torch.inf, dtype=torch.float64, device=device)
    index = torch.zeros_like(best, dtype=torch.int64)
    rows = max(1, min(MAX_DISTANCES // max(1, len(wide)), MAX_VALUES // train.shape[1]))
    for start in range(0, len(train), rows):
        block = train[start : start + rows].to(device, torch.float64)
        distances = squares + block.square().sum(dim=1) - 2 * wide @ block.T
        places = torch.arange(start, start + len(block), device=device).expand(len(wide), -1)
        both = torch.cat([best, distances], dim=1)
        best, chosen = both.topk(min(k, both.shape[1]), dim=1, largest=False)
        index = torch.cat([index, places], dim=1).gather(1, chosen)
    return index.to(queries.device)
