"""The component that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from anokit.plugin import Component, hookimpl


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer a stand-in for a model."""
    yield Component(
        name="pixels",
        trained=False,
        summary="No model: for recipes whose scores read the image itself",
        factory="anokit_pixels.pixels:Pixels",
        provides=frozenset({"image"}),
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
