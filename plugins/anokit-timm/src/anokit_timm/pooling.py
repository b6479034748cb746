"""What becomes of a network's feature maps: blocks of one vector, and patches on one grid.

Public: other packages may use what is in ``__all__``, see the README.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from anokit_timm.plugin import BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


__all__ = ["join_maps", "join_vectors", "pool_map"]


class Block(NamedTuple):
    """A part of the vector ``features``."""

    stage: int | None
    """None for what the classifier would see"""
    how: str = "mean"
    """``mean``, ``std`` or ``max`` over the positions of the stage's map"""


def read_block(name: str) -> Block:
    """Return the block that an entry of the option ``pooled`` names, such as ``stage3-std``."""
    found = BLOCK.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no block of features")
    if found["stage"] is None:
        return Block(None)
    return Block(int(found["stage"]), found["how"] or "mean")


def pool_map(values: Tensor, how: str) -> Tensor:
    """Return ``mean``, ``std`` or ``max`` over positions: ``[B, C, h, w]`` -> ``[B, C]``.

    The standard deviation is that of the positions themselves, 0 where there is one alone.

    Raises
    ------
    ValueError
        Where ``how`` is none of the three.

    Examples
    --------
    >>> import torch
    >>> from anokit_timm.pooling import pool_map
    >>> values = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    >>> pool_map(values, "mean"), pool_map(values, "max")
    (tensor([[4.]]), tensor([[7.]]))
    >>> pool_map(values, "min")
    Traceback (most recent call last):
    ValueError: how = 'min': expected 'mean', 'std' or 'max'
    """
    if how == "mean":
        return values.mean(dim=(2, 3))
    if how == "std":
        return values.std(dim=(2, 3), correction=0)
    if how == "max":
        return values.amax(dim=(2, 3))
    raise ValueError(f"how = {how!r}: expected 'mean', 'std' or 'max'")


def join_vectors(vectors: Sequence[Tensor]) -> Tensor:
    """Return blocks ``[B, C]`` as one vector per image ``[B, D]``, D the sum of their sizes.

    Of several blocks each is scaled to unit length, then the whole, so that no block outweighs
    another by its units or its number of channels; zeros stay zeros. A single one stays as it is.

    Raises
    ------
    ValueError
        Where there is no block.

    Examples
    --------
    >>> import torch
    >>> from anokit_timm.pooling import join_vectors
    >>> join_vectors([torch.tensor([[300.0, 400.0]]), torch.tensor([[0.1]])])
    tensor([[0.4243, 0.5657, 0.7071]])
    >>> join_vectors([torch.tensor([[300.0, 400.0]])])
    tensor([[300., 400.]])
    """
    if not vectors:
        raise ValueError("no vectors to join: expected at least one block [B, C]")
    if len(vectors) == 1:
        return vectors[0]
    joined = torch.cat([functional.normalize(vector, dim=1) for vector in vectors], dim=1)
    return functional.normalize(joined, dim=1)


def join_maps(
    maps: Sequence[Tensor], grid: tuple[int, int] | None = None, neighbourhood: int = 1
) -> Tensor:
    """Bring feature maps to one grid and concatenate their channels.

    Parameters
    ----------
    maps
        ``[B, C, h, w]``, of the same images; at least one.
    grid
        Height and width of the result; None for those of the first map. A map that has more
        positions, or as many, each way is averaged; one that has fewer is enlarged bilinearly.
    neighbourhood
        Side of the square of positions that every position of a map is averaged over beforehand,
        odd; at a border over those that are there (PatchCore, section 3.1, with a mean for its
        adaptive pooling).

    Returns
    -------
    Tensor
        ``[B, F, *grid]``, F the sum of the maps' channels.

    Raises
    ------
    ValueError
        Where there is no map, or ``neighbourhood`` is no odd number ≥ 1.

    Examples
    --------
    >>> import torch
    >>> from anokit_timm.pooling import join_maps
    >>> fine, coarse = torch.rand(2, 24, 8, 8), torch.rand(2, 32, 4, 4)
    >>> join_maps([fine, coarse]).shape
    torch.Size([2, 56, 8, 8])
    >>> join_maps([fine, coarse], grid=(4, 4), neighbourhood=3).shape
    torch.Size([2, 56, 4, 4])
    """
    if not maps:
        raise ValueError("no maps to join: expected at least one [B, C, h, w]")
    if neighbourhood < 1 or neighbourhood % 2 == 0:
        raise ValueError(f"neighbourhood = {neighbourhood}: expected an odd number ≥ 1")
    grid = grid or (maps[0].shape[-2], maps[0].shape[-1])
    return torch.cat([_resize(_smooth(each, neighbourhood), grid) for each in maps], dim=1)


def _smooth(values: Tensor, side: int) -> Tensor:
    if side == 1:
        return values
    return functional.avg_pool2d(values, side, 1, side // 2, count_include_pad=False)


def _resize(values: Tensor, grid: tuple[int, int]) -> Tensor:
    height, width = values.shape[-2:]
    if (height, width) == grid:
        return values
    if height >= grid[0] and width >= grid[1]:
        return functional.adaptive_avg_pool2d(values, grid)
    return functional.interpolate(values, grid, mode="bilinear", align_corners=False)
