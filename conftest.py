"""Settings of the whole test suite, and what the tests of several packages build scores with."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anokit.registry.lookup import Registry
    from anokit.types import RoundTrip

# Tests are small and run in as many processes as there are cores: more threads would only wait for
# each other. Read when torch is first imported, which is after this.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def installed() -> Registry:
    """Find the installed plugins."""
    from anokit.registry.lookup import Registry

    return Registry.load()


@pytest.fixture
def build(installed: Registry) -> Callable[..., Any]:
    """Build an installed score by its public name."""

    def make(name: str, **options: Any) -> Any:
        component = installed.get("score", name).component
        return component.load()(component.options(**options))

    return make


@pytest.fixture
def make_trip() -> Callable[..., RoundTrip]:
    """Draw a round trip with every field that a score may read."""

    def make(count: int, seed: int = 0, size: int = 6) -> RoundTrip:
        import torch

        from anokit.types import RoundTrip

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
