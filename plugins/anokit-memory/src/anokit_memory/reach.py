"""Nearest neighbours by reachability: what is isolated is near to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from anokit.nn import FieldScore, field_score
from anokit_memory.knn import NearestNeighbours, number_of
from anokit_memory.pairs import columns_of, distances_to

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.neighbour_components import Metric, ReachKNNOptions

TIE = 1e-6
"""Share by which a distance may exceed a stored one and still be it: that is float32."""


class ReachNeighbours(NearestNeighbours):
    """Mean reachability distance to the k nearest training rows.

    reach(x, o) = max(d(x, o), r(o)), r(o) the distance of a training row o to the n-th nearest
    other one. An anomalous training row that has fewer than n of its kind has a large r, and so is
    near to nothing: not to an image like it either, which plain neighbours take for normal. A
    normal mode of fewer than n rows fares the same way: nothing unlabelled tells the two apart.
    Source: Breunig, Kriegel, Ng and Sander, "LOF: Identifying Density-Based Local Outliers" (2000),
    definitions 3 to 5; the score is the reciprocal of the local reachability density of
    definition 6, which LOF divides by that of the neighbours.

    The state is the training rows and, of each, r and the distance to the (n + 1)-th nearest
    other, ``[N, 2]``: r without one of the n.

    Parameters
    ----------
    name, k, metric
        As of `NearestNeighbours`.
    reach
        n: a number ≥ 1, or a share of the training rows, in (0, 1), of which at least 5 are taken.
        All others where there are fewer.
    seed
        Of the subset that r is estimated from, where there are more than 10,000 rows: the same
        share of that is counted.
    """

    around: Tensor

    def __init__(self, name: str, k: float, metric: Metric, reach: float, seed: int) -> None:
        super().__init__(name, k, metric)
        self.reach = reach
        self.seed = seed
        self.register_buffer("around", torch.empty(0, 2))

    def fit(self, rows: Tensor) -> None:
        """Keep the training rows ``[N, D]``, and how isolated each is.

        Raises
        ------
        DataError
            Where there is none.
        """
        super().fit(rows)
        count = len(rows)
        if count < 2:
            self.around = rows.new_zeros(count, 2)
            return
        columns = columns_of(self.memory, self.seed)
        others = min(number_of(self.reach, count), count - 1)
        near = max(1, round(others * len(columns) / count))  # of a subset, as many as it has
        found = []
        for block in distances_to(self.memory, columns, self.metric):
            # A row of the subset is infinitely far from itself, so that it has one other less.
            least = block.topk(min(near + 1, len(columns)), dim=1, largest=False)[0]
            first = least[:, min(near, least.shape[1]) - 1]
            after = torch.where(least[:, -1].isinf(), first, least[:, -1])
            found.append(torch.stack([first, after], dim=1))
        self.around = torch.cat(found).to(rows)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the mean reachability distance: ``[R, D] -> [R]``, ≥ 0."""
        places, found = self.neighbours(rows, min(self.k, len(self.memory)))
        around = self.around[places.to(self.around.device)].to(found)
        return self.mean(torch.maximum(found, around[..., 0])).to(rows)

    def left_out(self, rows: Tensor, k: int, places: Tensor) -> Tensor:
        """Return reachability distances of fitted rows to k others, r without them: ``[R, k]``."""
        near, found = self.neighbours(rows, k, places)
        around = self.around[near.to(self.around.device)].to(found)
        counted = found <= around[..., 0] * (1 + TIE)  # the row is one of the n of its neighbour
        own = torch.where(counted, around[..., 1], around[..., 0])
        return torch.maximum(found, own)


def reach_knn(options: ReachKNNOptions) -> FieldScore:
    """Return the score ``reach-knn``."""
    detector = ReachNeighbours("reach-knn", options.k, options.metric, options.reach, options.seed)
    return field_score(detector, "reach-knn", options)
