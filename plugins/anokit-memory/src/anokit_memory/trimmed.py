"""Nearest neighbours among the training rows that are left when the most isolated are dropped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from anokit.errors import DataError
from anokit.nn import FieldScore, field_score
from anokit_memory.knn import NearestNeighbours
from anokit_memory.pairs import BLOCK, columns_of, distances_to

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.neighbour_components import Metric, TrimmedKNNOptions

MAX_ROUNDS = 10
"""Most rounds of trimming."""


class TrimmedNeighbours(NearestNeighbours):
    """Mean distance to the k nearest kept rows; these and their places are the state.

    Which rows are kept is found in rounds: each row is judged by its mean distance to the ``clump``
    nearest kept others, and the ``share`` of rows with the smallest is kept, until nothing changes.
    A normal mode of fewer rows than ``clump`` is dropped like an anomaly: nothing unlabelled tells
    the two apart.

    Parameters
    ----------
    name, k, metric
        As of `NearestNeighbours`.
    share
        Of the rows that are kept, in (0, 1].
    clump
        Neighbours in the rounds, or ``"auto"``: max(50, 2.5 % of the rows).
    seed
        Of the subset that rows are compared with, where there are more than 10,000.
    """

    kept: Tensor
    """int64 ``[M]``: places of the kept rows in fitting order, ascending. The others are those to
    look at."""

    def __init__(
        self,
        name: str,
        k: int,
        metric: Metric,
        share: float,
        clump: int | Literal["auto"],
        seed: int,
    ) -> None:
        super().__init__(name, k, metric)
        self.share = share
        self.clump = clump
        self.seed = seed
        self.register_buffer("kept", torch.empty(0, dtype=torch.int64))

    def fit(self, rows: Tensor) -> None:
        """Keep a share of the training rows ``[N, D]``.

        Raises
        ------
        DataError
            Where the share has not k rows, or no ``clump`` others.
        """
        count, keep = len(rows), math.floor(self.share * len(rows))
        clump = max(50, math.ceil(0.025 * count)) if self.clump == "auto" else self.clump
        if keep < max(self.k, clump + 1):
            lower = "set these lower, or " if keep > 1 else ""
            more = "set share higher, or " if keep < 2 <= count else ""
            raise DataError(
                f"score '{self.name}': share = {self.share} of {count} training vectors are "
                f"{keep}, expected at least k = {self.k} and more than clump = {clump}: "
                f"{lower or more}add images"
            )
        rows = self.prepared(rows)
        self.kept = self._kept(rows, keep, clump)
        self.memory = rows[self.kept]

    def leave_one_out(self, rows: Tensor, places: Tensor) -> Tensor:
        """Return distances to the k nearest kept others; as of `NearestNeighbours`.

        Which rows are kept is not asked again without the row: a row that was dropped has its plain
        score.
        """
        places = places.to(self.kept.device)
        where = torch.searchsorted(self.kept, places).clamp(max=len(self.kept) - 1)
        return super().leave_one_out(rows, torch.where(self.kept[where] == places, where, -1))

    def _kept(self, rows: Tensor, keep: int, clump: int) -> Tensor:
        columns = columns_of(rows, self.seed)
        distances = torch.cat(list(distances_to(rows, columns, self.metric)))
        columns = columns.to(distances.device)
        # of a subset, as many neighbours as it has of the clump's
        near = max(1, round(clump * len(columns) / len(rows)))
        kept = torch.ones(len(rows), dtype=torch.bool, device=distances.device)
        for _ in range(MAX_ROUNDS):
            means = torch.cat(
                [
                    block[:, kept[columns]].topk(near, dim=1, largest=False)[0].double().mean(dim=1)
                    for block in torch.split(distances, BLOCK)
                ]
            )
            order = means.sort(stable=True).indices
            now = torch.zeros_like(kept)
            now[order[:keep]] = True
            if torch.equal(now, kept):
                break
            kept = now
        return kept.nonzero()[:, 0].to(rows.device)


def trimmed_knn(options: TrimmedKNNOptions) -> FieldScore:
    """Return the score ``trimmed-knn``."""
    detector = TrimmedNeighbours(
        "trimmed-knn", options.k, options.metric, options.share, options.clump, options.seed
    )
    return field_score(detector, "trimmed-knn", options)
