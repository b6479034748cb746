from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from anokit.types import Batch, ImageSpec
from anokit_skip.plugin import SkipGanomalyOptions
from anokit_skip.skip_ganomaly import SkipGanomaly

SMALL = {"ngf": 4, "ndf": 4, "nz": 8, "batch_size": 4}
SPEC = ImageSpec(3, 32, 32)


@pytest.fixture
def build() -> Callable[..., SkipGanomaly]:
    """Build a small backbone from seed 0."""

    def make(seed: int = 0, **options: Any) -> SkipGanomaly:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return SkipGanomaly(SkipGanomalyOptions(**SMALL | options), SPEC)

    return make


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Draw images in [-1, 1]."""

    def images(count: int, seed: int = 0, channels: int = 3, size: int = 32) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count, channels, size, size, generator=generator) * 2 - 1

    return images


@pytest.fixture
def train(draw: Callable[..., torch.Tensor]) -> Callable[..., list[dict[str, float]]]:
    """Take a few steps on random images as the core's loop does; return the metrics of each."""

    @torch.enable_grad()
    def steps(backbone: SkipGanomaly, count: int, seed: int = 0) -> list[dict[str, float]]:
        (phase,) = backbone.phases()
        phase.optimisers()
        backbone.train()
        generator = torch.Generator().manual_seed(seed)
        size = phase.batch_size
        batches = (
            Batch(draw(size, seed=step), torch.arange(size), step, step / count, generator)
            for step in range(count)
        )
        found = [{name: value.item() for name, value in phase.step(b).items()} for b in batches]
        backbone.eval()
        return found

    return steps
