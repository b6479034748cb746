"""Distance to the nearest training vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.functional import normalize

from anokit.errors import DataError
from anokit.nn import Detector, FieldScore, field_score
from anokit_memory.nearest import distances_to, nearest_indices

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.plugin import KNNOptions, PixelKNNOptions


MAX_QUERIES = 1024
"""Most rows that are looked up at one time."""


class NearestNeighbours(Detector):
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
        return torch.cat([self._mean_distance(block) for block in torch.split(rows, MAX_QUERIES)])

    def _mean_distance(self, rows: Tensor) -> Tensor:
        nearest = nearest_indices(rows, self.memory, self.k)
        distances = distances_to(rows, self.memory, nearest)
        if self.metric == "cosine":
            distances = distances.square() / 2
        return distances.mean(dim=0)


def knn(options: KNNOptions, name: str = "knn") -> FieldScore:
    """Return the score ``knn``."""
    return field_score(NearestNeighbours(name, options.k, options.metric), name, options)


def pixel_knn(options: PixelKNNOptions) -> FieldScore:
    """Return the baseline ``pixel-knn``: `knn` under the name that messages should print."""
    return knn(options, "pixel-knn")
