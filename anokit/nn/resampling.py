"""Change the resolution of images and maps, and blend two images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["box_downscale", "lerp", "resize_map", "upscale_nearest"]


def box_downscale(images: Tensor, factor: int = 2) -> Tensor:
    """Average over boxes of ``factor × factor`` pixels, ``[B, C, H, W] -> [B, C, H/f, W/f]``.

    Raises
    ------
    ValueError
        Where height or width is not a multiple of ``factor``.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import box_downscale
    >>> box_downscale(torch.rand(2, 3, 8, 8), 4).shape
    torch.Size([2, 3, 2, 2])
    """
    if images.shape[-2] % factor or images.shape[-1] % factor:
        raise ValueError(
            f"box_downscale: expected height and width that are multiples of {factor}, "
            f"got {list(images.shape)}"
        )
    return images if factor == 1 else functional.avg_pool2d(images, factor)


def upscale_nearest(images: Tensor, factor: int = 2) -> Tensor:
    """Repeat every pixel in a ``factor × factor`` box, ``[B, C, H, W] -> [B, C, f·H, f·W]``.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import upscale_nearest
    >>> upscale_nearest(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """
    if factor == 1:
        return images
    return functional.interpolate(images, scale_factor=float(factor), mode="nearest")


def resize_map(values: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps at another height and width: ``[B, h, w] -> [B, *size]``, bilinear.

    Where a side becomes shorter, neighbouring values are averaged, so that no peak falls between
    two positions.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import resize_map
    >>> resize_map(torch.rand(2, 4, 4), (16, 16)).shape
    torch.Size([2, 16, 16])
    """
    height, width = values.shape[-2:]
    if (height, width) == tuple(size):
        return values
    smaller = size[0] < height or size[1] < width
    resized = functional.interpolate(
        values[:, None], tuple(size), mode="bilinear", align_corners=False, antialias=smaller
    )
    return resized[:, 0]


def lerp(start: Tensor, end: Tensor, weight: float | Tensor) -> Tensor:
    """Blend linearly: exactly ``start`` at ``weight`` 0, exactly ``end`` at 1.

    ``weight`` is a number, or a tensor that broadcasts against both, such as ``[B, 1, 1, 1]``.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import lerp
    >>> lerp(torch.tensor([0.0, 4.0]), torch.tensor([4.0, 0.0]), 0.25)
    tensor([1., 3.])
    """
    return torch.lerp(start, end, weight)
