"""Distance to the nearest training vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn.functional import normalize

from anokit.errors import DataError
from anokit.nn import FieldScore, field_score
from anokit_memory.nearest import mean_distance, mean_square, nearest_indices

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.plugin import KNNOptions, PixelKNNOptions


class NearestNeighbours(nn.Module):
    """Mean distance to the k nearest training rows; these are the state, ``[N, D]`` float32.

    Exact search. A training row that is scored finds itself among its neighbours, at distance 0.
    For the cosine, rows are kept and compared at unit length, where 1 − cos = ‖a − b‖²/2; a row of
    zeros has no direction and is at distance 1/2 from every other.

    Parameters
    ----------
    name
        Of the score, for messages.
    k
        Neighbours, ≥ 1.
    metric
        ``"cosine"`` (in [0, 2]) or ``"euclidean"``.
    """

    memory: Tensor

    def __init__(self, name: str, k: int, metric: Literal["cosine", "euclidean"]) -> None:
        super().__init__()
        self.name = name
        self.k = k
        self.metric = metric
        self.register_buffer("memory", torch.empty(0, 0))

    def fit(self, rows: Tensor) -> None:
        """Keep the training rows ``[N, D]``.

        Raises
        ------
        DataError
            Where there are fewer than k.
        """
        if len(rows) < self.k:
            raise DataError(
                f"score '{self.name}': expected at least k = {self.k} training vectors, "
                f"got {len(rows)}: set k lower or add images"
            )
        self.memory = normalize(rows) if self.metric == "cosine" else rows

    def forward(self, rows: Tensor) -> Tensor:
        """Return the mean distance: ``[R, D] -> [R]``, ≥ 0."""
        if self.metric == "cosine":
            rows = normalize(rows)
            return mean_square(rows, self.memory, nearest_indices(rows, self.memory, self.k)) / 2
        return mean_distance(rows, self.memory, nearest_indices(rows, self.memory, self.k))


def knn(options: KNNOptions, name: str = "knn") -> FieldScore:
    """Return the score ``knn``."""
    return field_score(
        NearestNeighbours(name, options.k, options.metric),
        name=name,
        on=options.on,
        max_fit_images=options.max_fit_images,
        reduction=options.patch_score,
        max_patches=options.max_patches,
        seed=options.seed,
    )


def pixel_knn(options: PixelKNNOptions) -> FieldScore:
    """Return the baseline ``pixel-knn``: `knn` under the name that messages should print."""
    return knn(options, "pixel-knn")
