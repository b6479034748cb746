"""Small backbones of the package, and batches for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from anokit.types import Batch, ImageSpec
from anokit_bigan.plugin import anokit_backbones

COMPONENTS = {component.name: component for component in anokit_backbones()}
VARIANTS = {
    "bigan": ("bigan", {}),
    "ali": ("bigan", {"networks": "ali", "latent_size": 4}),
    "egbad": ("egbad", {}),
    "alad": ("alad", {"patience": 0}),
}
"""Backbones with options that set them apart."""
SPEC = ImageSpec(3, 32, 32)


@pytest.fixture(params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> str:
    """Run a test for every variant."""
    return str(request.param)


@pytest.fixture
def build() -> Callable[..., nn.Module]:
    """Build a variant from a seed, small as in its example, with changed options."""

    def make(name: str, seed: int = 0, spec: ImageSpec = SPEC, **options: Any) -> nn.Module:
        use, changes = VARIANTS[name]
        component = COMPONENTS[use]
        chosen = component.options(**{**component.example, **changes, **options})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone: nn.Module = component.load()(chosen, spec, [])
        return backbone

    return make


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Draw images in [-1, 1]."""

    def images(count: int, seed: int = 0, channels: int = 3, size: int = 32) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count, channels, size, size, generator=generator) * 2 - 1

    return images


@pytest.fixture
def train(draw: Callable[..., torch.Tensor]) -> Callable[..., list[Mapping[str, float]]]:
    """Take some steps of every phase as the core's loop does; return the metrics of each."""

    @torch.enable_grad()
    def steps(backbone: nn.Module, count: int = 2, seed: int = 0) -> list[Mapping[str, float]]:
        backbone.train()
        generator, found = torch.Generator().manual_seed(seed), []
        for phase in backbone.phases():
            phase.optimisers()
            for step in range(count):
                images = draw(phase.batch_size, step)
                batch = Batch(images, torch.arange(len(images)), step, step / count, generator)
                found.append({key: value.item() for key, value in phase.step(batch).items()})
        backbone.eval()
        return found

    return steps
