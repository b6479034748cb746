"""What this package offers to anokit. It imports no torch, so that every command stays fast."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from anokit import Component, Options, hookimpl


class ModelOptions(Options):
    """Options of ``model``."""

    latent_size: int = Field(default=64, ge=1, description="Components of a latent, ≥ 1.")
    width: int = Field(default=32, ge=1, description="Channels after the first layer, ≥ 1.")
    images: int = Field(default=100_000, ge=1, description="Training images to show, ≥ 1.")
    batch_size: int = Field(default=64, ge=1, description="Images per training step, ≥ 1.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Step size of Adam, > 0.")


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer the backbone."""
    yield Component(
        name="model",
        summary="Small convolutional autoencoder",
        factory="acme_model.model:Model",
        options=ModelOptions,
        example={"latent_size": 4, "width": 2, "images": 16, "batch_size": 4},
        provides=frozenset({"image", "latent", "image_hat", "latent_hat"}),
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
