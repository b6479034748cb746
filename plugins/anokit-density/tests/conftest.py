from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from anokit.types import RoundTrip
from anokit_density.plugin import anokit_scores

COMPONENTS = {component.name: component for component in anokit_scores()}

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("kde", {"components": 4, "bandwidth": 0.5}),
    ("kde", {}),
    ("kde", {"on": "features", "components": 0.9}),
    ("kde", {"on": "patches", "bandwidth": 0.3}),
    ("kde", {"contrast": True, "whiten": False}),
    ("rx", {}),
    ("rx", {"on": "latent", "ridge": 0.0}),
    ("rx", {"local": True}),
    ("rx", {"local": True, "window": 1, "patch_score": "mean"}),
    ("rx", {"on": "patches"}),
    ("pca", {"components": 4}),
    ("pca", {"on": "features", "components": 2}),
    ("pca", {"on": "patches", "components": 1}),
    ("isolation-forest", {"trees": 20}),
    ("isolation-forest", {"on": "patches", "trees": 9, "samples": 64, "patch_score": "mean"}),
    ("ocsvm", {}),
    ("ocsvm", {"on": "features", "nu": 0.5, "gamma": 0.7}),
    ("ocsvm", {"on": "patches"}),
    ("pixel-pca", {}),
]


def has_map(name: str, options: dict[str, Any]) -> bool:
    pixels = name in {"pca", "pixel-pca"} and "on" not in options
    return pixels or options.get("on") == "patches" or bool(options.get("local"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for all variants, or for those with a map."""
    chosen = {
        "variant": VARIANTS,
        "map_variant": [(name, o) for name, o in VARIANTS if has_map(name, o)],
    }
    for fixture, variants in chosen.items():
        if fixture in metafunc.fixturenames:
            ids = ["-".join([name, *map(str, options.values())]) for name, options in variants]
            metafunc.parametrize(fixture, variants, ids=ids)


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
