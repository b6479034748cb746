"""Small backbones of the package, and batches for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from anokit.types import Batch, ImageSpec, Phase, RoundTrip, WeightedLoss
from anokit_anogan.plugin import anokit_backbones

COMPONENTS = {component.name: component for component in anokit_backbones()}
SPEC = ImageSpec(3, 32, 32)


def izi(trip: RoundTrip) -> torch.Tensor:
    return (trip.image - trip.image_hat).square().mean()


LOSSES = {
    "f-anogan": [WeightedLoss("izi", 1.0, izi, frozenset({"image", "image_hat"}), "image")],
}


@pytest.fixture(params=list(COMPONENTS))
def name(request: pytest.FixtureRequest) -> str:
    """Run a test for every backbone."""
    return str(request.param)


@pytest.fixture
def build() -> Callable[..., nn.Module]:
    """Build a backbone by name from a seed, small as in its example, with changed options."""

    def make(
        name: str,
        seed: int = 0,
        spec: ImageSpec = SPEC,
        losses: list[WeightedLoss] | None = None,
        **options: Any,
    ) -> nn.Module:
        component = COMPONENTS[name]
        chosen = component.options(**{**component.example, **options})
        losses = LOSSES.get(name, []) if losses is None else losses
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone: nn.Module = component.load()(chosen, spec, losses)
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
    """Take some steps of a phase as the core's loop does; return the metrics of each."""

    def steps(
        backbone: nn.Module, phase: Phase, count: int, seed: int = 0
    ) -> list[Mapping[str, float]]:
        phase.optimisers()
        backbone.train()
        generator, size = torch.Generator().manual_seed(seed), phase.batch_size
        found = []
        for step in range(count):
            batch = Batch(draw(size, step), torch.arange(size), step, step / count, generator)
            found.append({key: value.item() for key, value in phase.step(batch).items()})
        backbone.eval()
        return found

    return steps


@pytest.fixture
def trained(build: Any, train: Any) -> Callable[..., nn.Module]:
    """Build a backbone and train two steps of each phase, so that norms have seen images."""

    def make(name: str, **options: Any) -> nn.Module:
        backbone = build(name, **options)
        for phase in backbone.phases():
            train(backbone, phase, 2)
        return backbone

    return make
