"""Distance to the nearest training vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from anokit.errors import DataError
from anokit.nn import Detector, FieldScore, field_score
from anokit_memory.exact import tree_mean, unit
from anokit_memory.nearest import NearestRows

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.plugin import KNNOptions, PixelKNNOptions

Metric = Literal["cosine", "euclidean"]

LEAST = 5
"""Neighbours that a share of the training rows is at least: fewer say little of a density."""


def number_of(asked: float, count: int) -> int:
    """Return how many neighbours a number ≥ 1, or a share in (0, 1) of ``count`` rows, means."""
    return int(asked) if asked >= 1 else max(LEAST, round(asked * count))


class RowMemory(Detector):
    """Base of detectors that keep training rows, ``[N, D]`` float32, and look for the nearest.

    For the cosine, rows are kept and compared at unit length, where 1 − cos = ‖a − b‖²/2; a row of
    zeros has no direction and is at distance 1/2 from every other.

    Parameters
    ----------
    name
        Of the score, for messages.
    metric
        ``"cosine"`` (in [0, 2]) or ``"euclidean"``.
    """

    memory: Tensor

    def __init__(self, name: str, metric: Metric) -> None:
        super().__init__()
        self.name = name
        self.metric = metric
        self.register_buffer("memory", torch.empty(0, 0))
        self._search: NearestRows | None = None

    @property
    def search(self) -> NearestRows:
        """Return the search among the memory; made anew only where that has changed."""
        if self._search is None or not self._search.is_of(self.memory):
            self._search = NearestRows(self.memory)
        return self._search

    def prepared(self, rows: Tensor) -> Tensor:
        """Return rows as they are compared: ``[R, D] -> [R, D]`` float32."""
        return unit(rows) if self.metric == "cosine" else rows

    def neighbours(
        self, rows: Tensor, k: int, without: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return places of the k nearest rows of the memory and their distances: ``[R, k]`` each.

        Distances are float64 and ascend. ``without``: int64 ``[R]``, for each query the place of a
        row that does not count, or −1.
        """
        places, squares = self.search.nearest(self.prepared(rows), k, without)
        return places, squares / 2 if self.metric == "cosine" else squares.sqrt()

    def distances(self, rows: Tensor, k: int, without: Tensor | None = None) -> Tensor:
        """Return distances to the k nearest rows of the memory as `neighbours` does: ``[R, k]``."""
        return self.neighbours(rows, k, without)[1]


class NearestNeighbours(RowMemory):
    """Mean distance to the k nearest training rows; these are the state.

    Exact search. A training row that is scored finds itself among its neighbours, at distance 0;
    `leave_one_out` takes it out. Where there are fewer than k, all of them count, and a warning
    says so. No bit of a distance depends on the batch.

    Parameters
    ----------
    name, metric
        As of `RowMemory`.
    k
        Neighbours: a number ≥ 1, or a share of the training rows, in (0, 1), of which at least
        `LEAST` are taken. A share means the same neighbourhood whatever the size of the set.
    """

    def __init__(self, name: str, k: float, metric: Metric) -> None:
        super().__init__(name, metric)
        self.asked = k

    @property
    def k(self) -> int:
        """Return the number of neighbours that are asked for."""
        return number_of(self.asked, len(self.memory))

    def fit(self, rows: Tensor) -> None:
        """Keep the training rows ``[N, D]``.

        Raises
        ------
        DataError
            Where there is none.
        """
        if not len(rows):
            raise DataError(f"score '{self.name}': got no training vector: add images")
        self.memory = self.prepared(rows)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the mean distance: ``[R, D] -> [R]``, ≥ 0."""
        return self.mean(self.distances(rows, min(self.k, len(self.memory)))).to(rows)

    def leave_one_out(self, rows: Tensor, places: Tensor) -> Tensor:
        """Return the mean distance of fitted rows to the k nearest others: ``[R, D] -> [R]``.

        Parameters
        ----------
        rows
            ``[R, D]``, of those that `fit` was given.
        places
            int64 ``[R]``, their places among these. A copy of a row elsewhere still counts.

        Raises
        ------
        DataError
            Where no other is left.
        """
        others = len(self.memory) - 1
        if others < 1:
            raise DataError(
                f"score '{self.name}': to leave a training vector out, expected two or more, got "
                f"{others + 1}: add images"
            )
        return self.mean(self.left_out(rows, min(self.k, others), places)).to(rows)

    def left_out(self, rows: Tensor, k: int, places: Tensor) -> Tensor:
        """Return distances of the fitted rows at ``places`` to the k nearest others: ``[R, k]``."""
        return self.distances(rows, k, places)

    def warnings(self) -> list[str]:
        """Return a sentence where there are too few rows for k others, else nothing."""
        others = len(self.memory) - 1
        if others >= self.k:
            return []
        text = (
            f"score '{self.name}' averages k = {self.k} nearest training vectors, and there are "
            f"{others} beside each: it takes all of them; add training images if there are any"
        )
        return [text]

    def mean(self, distances: Tensor) -> Tensor:
        """Return the score of ascending distances: ``[R, k] -> [R]``."""
        return tree_mean(distances)


def knn(options: KNNOptions, name: str = "knn") -> FieldScore:
    """Return the score ``knn``."""
    return field_score(NearestNeighbours(name, options.k, options.metric), name, options)


def pixel_knn(options: PixelKNNOptions) -> FieldScore:
    """Return the baseline ``pixel-knn``: `knn` under the name that messages should print."""
    return knn(options, "pixel-knn")
