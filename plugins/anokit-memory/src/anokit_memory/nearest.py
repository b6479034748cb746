"""Exact search for nearest rows, in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

from anokit.nn import to_double

MAX_DISTANCES = 2**20
"""Most distances that are in memory at one time: 8 MB."""

MAX_VALUES = 2**23
"""Most values of training rows that are in memory as float64 at one time: 64 MB."""


def nearest_indices(queries: Tensor, train: Tensor, k: int) -> Tensor:
    """Return which k rows of ``train`` are nearest: ``[R, D], [N, D] -> [R, k]`` int64.

    Distances are ‖q‖² + ‖t‖² − 2 q·t, in float64: a matrix product is several times as fast as
    differences, and in float32 its rounding would make the choice depend on the batch. Training
    rows are visited in blocks, so that memory is bounded for any N.
    """
    wide = to_double(queries)
    squares = wide.square().sum(dim=1, keepdim=True)
    best = torch.full((len(wide), 0), torch.inf, dtype=torch.float64, device=wide.device)
    index = torch.zeros_like(best, dtype=torch.int64)
    rows = max(1, min(MAX_DISTANCES // max(1, len(wide)), MAX_VALUES // train.shape[1]))
    for start in range(0, len(train), rows):
        block = to_double(train[start : start + rows])
        distances = squares + block.square().sum(dim=1) - 2 * wide @ block.T
        places = torch.arange(start, start + len(block), device=wide.device).expand(len(wide), -1)
        both = torch.cat([best, distances], dim=1)
        best, chosen = both.topk(min(k, both.shape[1]), dim=1, largest=False)
        index = torch.cat([index, places], dim=1).gather(1, chosen)
    return index.to(queries.device)


def distances_to(queries: Tensor, train: Tensor, chosen: Tensor) -> Tensor:
    """Return Euclidean distances to chosen rows: ``[R, D], [N, D], [R, k] -> [k, R]``.

    From the differences themselves: exact for copies of a training row too, where the expanded
    square of the search leaves rounding noise.
    """
    return torch.stack(
        [torch.linalg.vector_norm(queries - train[rows], dim=1) for rows in chosen.unbind(dim=1)]
    )
