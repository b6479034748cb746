from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from anokit.types import Batch, ImageSpec

# The smallest of the models that timm keeps for its own tests, with weights drawn here.
SMALL = {
    "model": "test_efficientnet",
    "weights": "random",
    "input_size": 32,
    "stages": (1, 2),
    "batch_size": 4,
}


@pytest.fixture
def build() -> Callable[..., Any]:
    """Build a backbone, small and with random weights unless told otherwise."""
    from anokit_stfpm.backbone import Stfpm
    from anokit_stfpm.plugin import StfpmOptions

    def make(spec: tuple[int, int, int] = (3, 32, 32), seed: int = 0, **options: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Stfpm(StfpmOptions(**{**SMALL, **options}), ImageSpec(*spec), ())

    return make


@pytest.fixture
def images() -> Callable[..., torch.Tensor]:
    """Draw images in [-1, 1]."""

    def draw(count: int, channels: int = 3, side: int = 32, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count, channels, side, side, generator=generator) * 2 - 1

    return draw


@pytest.fixture
def train() -> Callable[..., list[dict[str, float]]]:
    """Take steps on one batch, as the loop does; return the metrics of each."""

    def run(backbone: Any, batch: torch.Tensor, steps: int) -> list[dict[str, float]]:
        backbone.train()
        (phase,) = backbone.phases()
        phase.optimisers()
        places = torch.arange(len(batch))
        found = [
            phase.step(Batch(batch, places, step, step / steps, torch.Generator()))
            for step in range(steps)
        ]
        backbone.eval()
        return [{name: float(value) for name, value in one.items()} for one in found]

    return run
