"""Images between uint8 at rest and float32 in networks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from anokit.errors import DataError


def to_float(images: Tensor) -> Tensor:
    """Turn uint8 ``[B, C, H, W]`` into float32 in [-1, 1]."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Turn float images in [-1, 1] (clamped) into uint8."""
    return images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def downscale(images: Tensor, resolution: int | None) -> Tensor:
    """Box-downscale ``[B, C, H, W]`` to ``resolution`` pixels a side; None leaves it as it is.

    Raises
    ------
    DataError
        Where height and width are not the same multiple of the resolution.
    """
    if resolution is None or images.shape[-1] == images.shape[-2] == resolution:
        return images
    height, width = images.shape[-2:]
    if height % resolution or width % resolution or height < resolution:
        raise DataError(
            f"images of {height}×{width} cannot be box-downscaled to {resolution} pixels"
        )
    return functional.avg_pool2d(images, (height // resolution, width // resolution))
