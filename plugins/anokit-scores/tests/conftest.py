from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from anokit.types import RoundTrip
from anokit_scores.plugin import anokit_scores

COMPONENTS = {component.name: component for component in anokit_scores()}

SCALES = ("fine", "coarse")

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("ln", {}),
    ("ln", {"mode": "rms"}),
    ("ln", {"mode": "mse"}),
    ("ln", {"mode": "mae"}),
    ("lo", {}),
    ("lr", {}),
    ("a", {}),
    ("a", {"mode": "critic", "kappa": 0.5}),
    ("residual", {}),
    ("residual", {"norm": "l1", "reduction": "sum"}),
    ("feature-residual", {}),
    ("feature-residual", {"norm": "l1", "reduction": "sum"}),
    ("latent-residual", {}),
    ("norm-typicality", {}),
    ("norm-residual", {}),
    ("pixel-contrast", {}),
    ("pixel-contrast", {"statistic": "std"}),
    ("pixel-contrast", {"statistic": "range"}),
    ("pixel-contrast", {"statistic": "norm"}),
    ("map-max", {}),
    ("map-mean", {}),
    ("map-mean", {"top": 0.25}),
    ("patch-residual", {}),
    ("patch-residual", {"distance": "squared", "patch_score": "mean"}),
    ("patch-residual", {"scales": SCALES}),
    ("patch-residual", {"scales": SCALES, "combine": "mean"}),
]


FITTED = {"norm-typicality", "norm-residual", "critic"}


def is_fitted(name: str, options: dict[str, Any]) -> bool:
    return name in FITTED or options.get("mode") in FITTED


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for all variants, for those with a map, or for those that are fitted."""
    chosen = {
        "variant": VARIANTS,
        "map_variant": [(name, o) for name, o in VARIANTS if COMPONENTS[name].map_needs],
        "fitted_variant": [(name, o) for name, o in VARIANTS if is_fitted(name, o)],
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

    def make(count: int, seed: int = 0, channels: int = 3, size: int = 6) -> RoundTrip:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.rand(count, *shape, generator=generator) * 2 - 1

        return RoundTrip(
            image=draw(channels, size, size),
            image_hat=draw(channels, size, size),
            latent=draw(7),
            latent_hat=draw(7),
            features=draw(5),
            features_hat=draw(5),
            critic=draw(),
            critic_hat=draw(),
            patches=draw(5, 3, 3),
            patches_hat=draw(5, 3, 3),
            anomaly_map=draw(4, 4) + 1,
            extra={
                f"{field}.{scale}": draw(5, side, side)
                for scale, side in zip(SCALES, (4, 2), strict=True)
                for field in ("patches", "patches_hat")
            },
        )

    return make


@pytest.fixture
def fit(make_trip: Callable[..., RoundTrip]) -> Callable[[Any], Any]:
    """Fit a score, where it can be fitted, to 40 random training images; return it."""

    def fit_score(score: Any) -> Any:
        if hasattr(score, "fit"):
            score.fit([make_trip(16, seed=100), make_trip(24, seed=101)])
        return score

    return fit_score
