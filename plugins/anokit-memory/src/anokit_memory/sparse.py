"""Nearest neighbours in sparse random memories, in closed form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from anokit.nn import FieldScore, field_score
from anokit_memory.exact import tree_sum
from anokit_memory.knn import NearestNeighbours

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.neighbour_components import Metric, SparseKNNOptions

REST = 1e-3
"""Probability that no counted neighbour is in the memory, which is left out."""


class SparseNeighbours(NearestNeighbours):
    """Expected distance to the nearest row of a random memory; the state is all training rows.

    A memory has each training row with probability ρ. The j-th nearest is the nearest of the memory
    with probability ρ(1 − ρ)^(j − 1), so that the expected distance is Σ_j ρ(1 − ρ)^(j − 1) d_j:
    no memory is drawn. The sum ends where (1 − ρ)^j ≤ `REST`; its weights are made to sum to 1. A
    few rows far from all others hardly count as neighbours, of normal images and of their like.

    Parameters
    ----------
    name, metric
        As of `RowMemory`.
    share
        ρ, in (0, 1].
    """

    def __init__(self, name: str, share: float, metric: Metric) -> None:
        most = 1 if share == 1 else math.ceil(math.log(REST) / math.log1p(-share))
        super().__init__(name, most, metric)
        self.share = share

    def warnings(self) -> list[str]:
        """Return nothing: the sum ends where the rows do, and its weights still sum to 1."""
        return []

    def mean(self, distances: Tensor) -> Tensor:
        """Return the weighted mean of ascending distances: ``[R, k] -> [R]``."""
        weights = torch.tensor(
            [(1 - self.share) ** j for j in range(distances.shape[1])], dtype=distances.dtype
        )
        return tree_sum(distances * (weights / tree_sum(weights)).to(distances.device))


def sparse_knn(options: SparseKNNOptions) -> FieldScore:
    """Return the score ``sparse-knn``."""
    detector = SparseNeighbours("sparse-knn", options.share, options.metric)
    return field_score(detector, "sparse-knn", options)
