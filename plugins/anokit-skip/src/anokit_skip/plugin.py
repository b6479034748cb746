"""The backbones that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from anokit.plugin import Component, Options, hookimpl


class GanomalyFamilyOptions(Options):
    """Options that both backbones have."""

    w_adv: float = Field(
        default=1.0, ge=0, description="Weight of the generator's adversarial loss, ≥ 0."
    )
    ngf: int = Field(
        default=64, ge=1, description="Channels after the generator's first convolution, ≥ 1."
    )
    ndf: int = Field(
        default=64, ge=1, description="Channels after the discriminator's first convolution, ≥ 1."
    )
    batch_size: int = Field(default=64, ge=1, description="Images per training step, ≥ 1.")
    images: int | None = Field(
        default=None,
        ge=1,
        description="Training images to show in all, ≥ 1; unset: as many as epochs says.",
    )
    learning_rate: float = Field(
        default=2e-4, gt=0, description="Step size of both Adams (β = 0.5, 0.999), > 0."
    )
    reinit_below: float = Field(
        default=1e-5,
        ge=0,
        description=(
            "The discriminator's weights are drawn anew once its loss has fallen below this, ≥ 0; "
            "0: never."
        ),
    )
    batch_norm: Literal["eval", "batch"] = Field(
        default="eval",
        description=(
            "Statistics of batch norm at scoring: 'eval' = running means of training; 'batch' = "
            "those of the batch being scored, which is how the published figures came about and "
            "makes a score depend on the other images of its batch."
        ),
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description=(
            "Arithmetic of training: 'bf16' = bfloat16 autocast, losses in float32; 'auto' = bf16 "
            "on CUDA, else fp32. Scores are always computed in fp32."
        ),
    )


class SkipGanomalyOptions(GanomalyFamilyOptions):
    """Options of ``skip-ganomaly``; defaults are those of the released code."""

    w_con: float = Field(
        default=50.0,
        ge=0,
        description=(
            "Weight of the reconstruction loss mean |x − x̂|, ≥ 0: 50 in the released code; the "
            "paper is reported to use 40."
        ),
    )
    w_lat: float = Field(
        default=1.0,
        ge=0,
        description=(
            "Weight of the feature loss mean (f(x) − f(x̂))² in the generator's objective, ≥ 0; the "
            "discriminator minimises it with weight 1, as released."
        ),
    )
    nz: int = Field(default=100, ge=1, description="Discriminator features per image, ≥ 1.")
    epochs: float = Field(
        default=25,
        gt=0,
        description="Passes over the training set, > 0: 25 as in the released script for CIFAR-10.",
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        description=(
            "σ of Gaussian noise on the generator's input in training, ≥ 0, for images in [-1, 1]. "
            "The released code provides for noise but never fills it: 0."
        ),
    )


class GanomalyOptions(GanomalyFamilyOptions):
    """Options of ``ganomaly``; defaults are those of the released code."""

    w_con: float = Field(
        default=50.0, ge=0, description="Weight of the reconstruction loss mean |x − x̂|, ≥ 0."
    )
    w_enc: float = Field(
        default=1.0,
        ge=0,
        description="Weight of the encoder loss mean (E₁(x) − E₂(x̂))², ≥ 0.",
    )
    nz: int = Field(default=100, ge=1, description="Components of a latent, ≥ 1.")
    epochs: float = Field(default=15, gt=0, description="Passes over the training set, > 0.")


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer Skip-GANomaly and GANomaly."""
    yield Component(
        name="skip-ganomaly",
        summary="Skip-GANomaly: U-Net generator and feature discriminator, trained adversarially",
        factory="anokit_skip.skip_ganomaly:SkipGanomaly",
        options=SkipGanomalyOptions,
        example={"ngf": 4, "ndf": 4, "nz": 8, "batch_size": 4, "images": 8},
        provides=frozenset(
            {"image", "image_hat", "features", "features_hat", "critic", "critic_hat"}
        ),
        reference="Akcay, Atapour-Abarghouei, Breckon, Skip-GANomaly (IJCNN 2019)",
    )
    yield Component(
        name="ganomaly",
        summary="GANomaly: encoder, decoder and second encoder; anomalies change their latent",
        factory="anokit_skip.ganomaly:Ganomaly",
        options=GanomalyOptions,
        example={"ngf": 4, "ndf": 4, "nz": 8, "batch_size": 4, "images": 8},
        provides=frozenset(
            {
                "image",
                "latent",
                "image_hat",
                "latent_hat",
                "features",
                "features_hat",
                "critic",
                "critic_hat",
            }
        ),
        reference="Akcay, Atapour-Abarghouei, Breckon, GANomaly (ACCV 2018)",
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
