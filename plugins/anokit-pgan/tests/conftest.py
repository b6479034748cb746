"""A small backbone, and batches for it."""

from collections.abc import Callable

import pytest
import torch

from anokit.types import Batch, ImageSpec, Phase, RoundTrip, WeightedLoss
from anokit_pgan.backbone import ProgressiveGAN
from anokit_pgan.plugin import PganOptions

SMALL = {
    "latent_size": 6,
    "base_channels": 32,
    "max_channels": 4,
    "images": 100,
    "batch_size": 8,
}
SIZE = 16


def image_distance(trip: RoundTrip) -> torch.Tensor:
    return (trip.image - trip.image_hat).abs().mean()


@pytest.fixture
def make() -> Callable[..., ProgressiveGAN]:
    """Return a function that builds a 16-pixel grey backbone from a seed, a loss and options."""

    def build(
        loss: Callable[[RoundTrip], torch.Tensor] = image_distance,
        needs: frozenset[str] = frozenset({"image", "image_hat"}),
        trip_from: str = "latent",
        weight: float = 1.0,
        seed: int = 0,
        **options: object,
    ) -> ProgressiveGAN:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return ProgressiveGAN(
                PganOptions.model_validate(SMALL | options),
                ImageSpec(1, SIZE, SIZE),
                [WeightedLoss("loss", weight, loss, needs, trip_from)],
            )

    return build


@pytest.fixture
def phase() -> Callable[[ProgressiveGAN, str], Phase]:
    """Return a function that finds a phase by name."""

    def find(backbone: ProgressiveGAN, name: str) -> Phase:
        return {phase.name: phase for phase in backbone.phases()}[name]

    return find


@pytest.fixture
def train() -> Callable[..., dict[str, torch.Tensor]]:
    """Return a function that makes steps of one phase on fixed random images."""

    def run(phase: Phase, steps: int = 1, progress: float = 0.5) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(1)
        metrics: dict[str, torch.Tensor] = {}
        for step in range(steps):
            shape = (phase.batch_size, 1, phase.resolution, phase.resolution)
            images = torch.rand(shape, generator=generator) * 2 - 1
            indices = torch.arange(phase.batch_size)
            metrics = dict(phase.step(Batch(images, indices, step, progress, generator)))
        return metrics

    return run
