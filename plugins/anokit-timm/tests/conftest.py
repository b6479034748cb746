from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from anokit.types import ImageSpec

# The smallest of the models that timm keeps for its own tests, with weights drawn here.
SMALL = {"model": "test_efficientnet", "weights": "random", "input_size": 32}


@pytest.fixture
def build() -> Callable[..., Any]:
    """Build a backbone, small and with random weights unless told otherwise."""
    from anokit_timm.backbone import TimmFeatures
    from anokit_timm.plugin import TimmFeaturesOptions

    def make(spec: tuple[int, int, int] = (3, 20, 20), **options: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            chosen = TimmFeaturesOptions(**{**SMALL, **options})
            return TimmFeatures(chosen, ImageSpec(*spec), ()).eval()

    return make


@pytest.fixture
def images() -> Callable[..., torch.Tensor]:
    """Draw images in [-1, 1]."""

    def draw(count: int, channels: int = 3, side: int = 20, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count, channels, side, side, generator=generator) * 2 - 1

    return draw
