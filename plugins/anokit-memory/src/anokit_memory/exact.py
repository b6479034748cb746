"""Sums that come out the same, bit for bit, whatever the batch, the block or the processor.

A library may add the values of a row in any order, and in another one for another number of rows.
Here they are added two by two with element-wise operations alone, each of which rounds once.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from anokit.nn import to_double

MAX_VALUES = 2**17
"""Most float64 values that are worked on at one time, 1 MB: few enough to stay in a cache."""

SMALLEST = 1e-12
"""Length below which a row has no direction."""


def tree_sum(values: Tensor) -> Tensor:
    """Return sums over the last dimension: ``[..., D] -> [...]``, D ≥ 1."""
    while (width := values.shape[-1]) > 1:
        half = width // 2
        sums = values[..., :half] + values[..., half : 2 * half]
        if width % 2:
            sums[..., 0] += values[..., -1]
        values = sums
    return values[..., 0]


def tree_mean(values: Tensor) -> Tensor:
    """Return means over the last dimension: ``[..., D] -> [...]``, D ≥ 1."""
    return tree_sum(values) / values.shape[-1]


def pieces(count: int, width: int) -> Iterator[slice]:
    """Yield slices of ``count`` rows of ``width`` values, each of `MAX_VALUES` or one row."""
    step = max(1, MAX_VALUES // max(1, width))
    for start in range(0, count, step):
        yield slice(start, start + step)


def squared_lengths(rows: Tensor) -> Tensor:
    """Return ‖x‖²: ``[N, D] -> [N]`` float64."""
    parts = [tree_sum(to_double(rows[part]).square()) for part in pieces(*rows.shape)]
    return torch.cat(parts) if parts else to_double(rows.new_empty(0))


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return ‖a − b‖² of rows that lie side by side: ``[N, D], [N, D] -> [N]`` float64.

    From the differences: 0 for copies, where ‖a‖² + ‖b‖² − 2 a·b would leave rounding.
    """
    return tree_sum((to_double(first) - to_double(second)).square())


def unit(rows: Tensor) -> Tensor:
    """Return rows at length 1: ``[N, D] -> [N, D]`` float32; rows of zeros stay so."""
    lengths = squared_lengths(rows).sqrt().clamp(min=SMALLEST)[:, None]
    parts = [
        (to_double(rows[part]) / lengths[part]).to(rows.device, torch.float32)
        for part in pieces(*rows.shape)
    ]
    return torch.cat(parts) if parts else rows
