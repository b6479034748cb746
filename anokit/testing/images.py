"""Images that backbones are tried on."""

from __future__ import annotations

import torch
from torch import Tensor

from anokit.types import ImageSpec

GREY, COLOUR = ImageSpec(1, 32, 32), ImageSpec(3, 64, 64)
"""The two shapes that every backbone takes."""

OBLONG = ImageSpec(1, 32, 48), ImageSpec(3, 64, 32)
"""Shapes that a backbone takes or refuses: wider than high, and higher than wide."""


def random_images(count: int, spec: ImageSpec, seed: int = 0) -> Tensor:
    """Return smooth random images ``[B, C, H, W]`` in [-1, 1]."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, spec.channels, spec.height // 8, spec.width // 8, generator=source)
    fine = torch.rand(count, spec.channels, spec.height, spec.width, generator=source)
    return 1.6 * coarse.repeat_interleave(8, -1).repeat_interleave(8, -2) + 0.4 * fine - 1


def constant_images(spec: ImageSpec) -> Tensor:
    """Return images ``[4, C, H, W]`` of one grey level each: black, white and, twice, grey."""
    levels = torch.tensor([-1.0, 1.0, 0.0, 0.0]).reshape(4, 1, 1, 1)
    return levels.repeat(1, spec.channels, spec.height, spec.width)
