"""Distances of training rows to each other, for what is estimated once, while fitting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from anokit.nn import to_double

if TYPE_CHECKING:
    from torch import Tensor

    from anokit_memory.neighbour_components import Metric

MAX_PAIRS = 10**8
"""Most pairs that are compared, 400 MB of distances: beyond, rows are compared with a subset."""

BLOCK = 1024
"""Rows that are compared at one time."""


def columns_of(rows: Tensor, seed: int) -> Tensor:
    """Return the places of the rows that all ``[N, D]`` are compared with: int64 ``[C]``, sorted.

    All of them while there are at most `MAX_PAIRS` pairs, 10,000 rows; else a seeded subset.
    """
    count = len(rows)
    columns = torch.arange(count)
    if count * count > MAX_PAIRS:
        source = torch.Generator().manual_seed(seed)
        columns = torch.randperm(count, generator=source)[: MAX_PAIRS // count].sort().values
    return columns.to(rows.device)


def distances_to(rows: Tensor, columns: Tensor, metric: Metric) -> Iterator[Tensor]:
    """Yield distances of `BLOCK` rows after `BLOCK` rows to those at ``columns``, ``[B, C]``.

    float32, infinite from a row to itself. For the cosine, rows have unit length.
    """
    others = to_double(rows[columns])
    for start in range(0, len(rows), BLOCK):
        near = torch.cdist(to_double(rows[start : start + BLOCK]), others)
        block = (near.square() / 2 if metric == "cosine" else near).float()
        places = columns.to(block.device)
        own = ((places >= start) & (places < start + len(block))).nonzero()[:, 0]
        block[places[own] - start, own] = torch.inf
        yield block
