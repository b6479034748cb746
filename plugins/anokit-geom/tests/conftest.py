from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from anokit.types import ImageSpec
from anokit_geom.geom import Geom
from anokit_geom.plugin import GeomOptions

SMALL = {"widen": 1, "share": 1 / 18, "batch_size": 6, "images": 12}


@pytest.fixture
def build() -> Callable[..., Geom]:
    """Build a small backbone from seed 0."""

    def make(seed: int = 0, side: int = 8, channels: int = 3, **options: Any) -> Geom:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            spec = ImageSpec(channels, side, side)
            return Geom(GeomOptions(**SMALL | options), spec).eval()

    return make


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Draw images in [-1, 1]."""

    def images(count: int, seed: int = 0, channels: int = 3, side: int = 8) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count, channels, side, side, generator=generator) * 2 - 1

    return images
