from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from anokit.types import RoundTrip
from anokit_density.plugin import anokit_scores

COMPONENTS = {component.name: component for component in anokit_scores()}


@pytest.fixture
def build() -> Callable[..., Any]:
    """Build a score by its public name."""

    def make(name: str, **options: Any) -> Any:
        component = COMPONENTS[name]
        return component.load()(component.options(**options))

    return make


@pytest.fixture
def make_trip() -> Callable[..., RoundTrip]:
    """Draw a round trip with every field that a score may read."""

    def make(count: int, seed: int = 0, size: int = 6) -> RoundTrip:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.rand(count, *shape, generator=generator) * 2 - 1

        return RoundTrip(
            image=draw(3, size, size), latent=draw(7), features=draw(5), patches=draw(4, 3, 3)
        )

    return make


@pytest.fixture
def fit(make_trip: Callable[..., RoundTrip]) -> Callable[[Any], Any]:
    """Fit a score to 40 random training images; return it."""

    def fit_score(score: Any) -> Any:
        score.fit([make_trip(16, seed=100), make_trip(24, seed=101)])
        return score

    return fit_score
