"""How far predicted feature maps are from the true ones, and maps of several scales as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from anokit.errors import PluginError
from anokit.nn.resampling import resize_map

__all__ = ["combine_scales", "patch_distances"]


def patch_distances(
    patches: Tensor, patches_hat: Tensor, distance: Literal["cosine", "squared"]
) -> Tensor:
    """Return the distance at every position: ``[B, F, h, w], [B, F, h, w] -> [B, h, w]``, ≥ 0.

    ``"cosine"`` is 1 − cos, in [0, 2], taken as ½‖u − v‖² of the vectors scaled to unit length: so
    it is exactly 0 where they are equal (Wang et al., Student-Teacher Feature Pyramid Matching,
    equation 2). ``"squared"`` is the mean over channels of the squared differences of the vectors
    as they are. Differentiable.

    Raises
    ------
    PluginError
        Where the shapes differ or are not those of feature maps.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import patch_distances
    >>> patches = torch.rand(2, 8, 4, 4)
    >>> float(patch_distances(patches, 2 * patches, "cosine").max()) < 1e-6
    True
    """
    if patches.ndim != 4 or patches.shape != patches_hat.shape:
        raise PluginError(
            "expected two feature maps [B, F, h, w] of one shape, got "
            f"{list(patches.shape)} and {list(patches_hat.shape)}"
        )
    if distance == "squared":
        return (patches - patches_hat).square().mean(dim=1)
    first, second = functional.normalize(patches, dim=1), functional.normalize(patches_hat, dim=1)
    return 0.5 * (first - second).square().sum(dim=1)


def combine_scales(maps: Sequence[Tensor], how: Literal["product", "mean"]) -> Tensor:
    """Return maps of several scales ``[B, h, w]`` as one, on the finest of their grids.

    Coarser maps are enlarged bilinearly to the grid of the map with the most positions; there the
    product is taken, as Wang et al. do (Student-Teacher Feature Pyramid Matching, section 3.3), or
    the mean.

    Raises
    ------
    PluginError
        Where there is no map.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import combine_scales
    >>> combine_scales([torch.rand(2, 8, 8), torch.rand(2, 4, 4)], "product").shape
    torch.Size([2, 8, 8])
    """
    if not maps:
        raise PluginError("expected the map of at least one scale, got none")
    finest = max(maps, key=lambda each: each.shape[-2:].numel()).shape[-2:]
    one = torch.stack([resize_map(each, finest) for each in maps])
    return one.prod(dim=0) if how == "product" else one.mean(dim=0)
