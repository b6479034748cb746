"""What this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from anokit.plugin import Component, Options, hookimpl

IMAGES = frozenset({"image", "image_hat"})
TRIP = IMAGES | {"latent", "features", "features_hat", "critic", "critic_hat"}


class GANOptions(Options):
    """Options that all backbones of the package have."""

    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Arithmetic of training: 'bf16' = bfloat16 autocast, losses in float32; 'auto' "
        "= bf16 on CUDA, else fp32. Scores are always computed in fp32.",
    )


class FAnoGANOptions(GANOptions):
    """Options of ``f-anogan``; defaults are those of the released code."""

    latent_size: int = Field(default=128, ge=1, description="Components of a latent, ≥ 1.")
    width: int = Field(
        default=64,
        ge=1,
        description="Channels of the networks at full resolution, ≥ 1; they double with each "
        "halving of the image, up to eight times as many.",
    )
    batch_size: int = Field(
        default=64,
        ge=2,
        description="Images per training step of either phase, ≥ 2: 64 in the released code, 16 in "
        "Berg et al.",
    )
    epochs: float = Field(
        default=7,
        gt=0,
        description="Passes over the training set in the GAN's phase, > 0; images that the critic "
        "is shown are counted, as published.",
    )
    images: int | None = Field(
        default=None,
        ge=1,
        description="Training images to show to the GAN in all, ≥ 1; unset: as many as epochs "
        "says.",
    )
    critic_steps: int = Field(
        default=5, ge=1, description="Steps of the critic for each step of the generator, ≥ 1."
    )
    gradient_penalty: float = Field(
        default=10.0, ge=0, description="Weight λ of (‖∇D‖ − 1)² in the critic's loss, ≥ 0."
    )
    learning_rate: float = Field(
        default=1e-4,
        gt=0,
        description="Step size of Adam (β = 0, 0.9) for generator and critic, > 0.",
    )
    encoder_steps: int = Field(
        default=50_000, ge=1, description="Training steps of the encoder's phase, ≥ 1."
    )
    encoder_learning_rate: float = Field(
        default=5e-5, gt=0, description="Step size of RMSProp for the encoder, > 0."
    )
    encoder_output: Literal["tanh", "linear", "tanh-3", "tanh-half", "clip"] = Field(
        default="tanh",
        description="What bounds an encoding: 'tanh' = to (-1, 1), published, though the generator "
        "was trained on N(0, I); 'linear' = nothing; 'tanh-3' and 'tanh-half' = 3·tanh and "
        "0.5·tanh; 'clip' = cut off at ±1.",
    )
    flip: bool = Field(
        default=True,
        description="Whether training images are mirrored left to right at random, each with "
        "probability 0.5, as in the released loader.",
    )


class AnoGANOptions(GANOptions):
    """Options of ``anogan``; the defaults are those of a released code for 32×32 pixels."""

    latent_size: int = Field(default=100, ge=1, description="Components of a latent, ≥ 1.")
    width: int = Field(
        default=128,
        ge=1,
        description="Channels next to the image, ≥ 1; they double with each halving of the image, "
        "up to eight times as many.",
    )
    batch_size: int = Field(default=32, ge=2, description="Images per training step, ≥ 2.")
    epochs: float = Field(
        default=100, gt=0, description="Passes over the training set, > 0; not published."
    )
    images: int | None = Field(
        default=None,
        ge=1,
        description="Training images to show in all, ≥ 1; unset: as many as epochs says.",
    )
    learning_rate: float = Field(
        default=2e-4, gt=0, description="Step size of both Adams (β = 0.5, 0.999), > 0."
    )
    ema: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="Share of the averaged generator that one step keeps, in [0, 1). Searches and "
        "samples use the average.",
    )
    ema_rampup: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Longest span of that average, 1/(1 − ema) steps, as a share of the steps "
        "done, so that it does not lag behind in a short run; no effect from step 20,000 on.",
    )
    search_steps: int = Field(
        default=500, ge=1, description="Steps of Adam that look for the latent of a query, ≥ 1."
    )
    search_learning_rate: float = Field(
        default=0.01,
        gt=0,
        description="Step size of these, > 0: 0.1 of it from 40 % of the steps on, 0.05 from 60 %.",
    )
    search_starts: int = Field(
        default=1,
        ge=1,
        description="Searches per query, ≥ 1, each from another start, drawn from N(0, 1) by the "
        "seed and the image's own bytes; the best one counts.",
    )
    search_batch: int = Field(
        default=1,
        ge=1,
        description="Queries searched for at once. More than 1 may be faster on a GPU; scores then "
        "depend on the batch, by rounding that a search blows up, and every result says so.",
    )
    feature_weight: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Weight λ of Σ|f(x) − f(G(z))| in the search, in [0, 1]; Σ|x − G(z)| weighs "
        "1 − λ. Published: 0.1.",
    )


class ADGANOptions(GANOptions):
    """Options of ``adgan``; the defaults are those of Golan and El-Yaniv's code for CIFAR-10."""

    latent_size: int = Field(default=256, ge=1, description="Components of a latent, ≥ 1.")
    width: int = Field(
        default=64,
        ge=1,
        description="Channels next to the image, ≥ 1; they double with each halving of the image, "
        "up to eight times as many.",
    )
    batch_size: int = Field(default=128, ge=2, description="Images per training step, ≥ 2.")
    images: int = Field(
        default=1_280_000,
        ge=1,
        description="Training images to show in all, ≥ 1; the default is 10,000 batches.",
    )
    critic_steps: int = Field(
        default=2, ge=1, description="Steps of the critic for each step of the generator, ≥ 1."
    )
    gradient_penalty: float = Field(
        default=20.0, ge=0, description="Weight λ of (‖∇D‖ − 1)² in the critic's loss, ≥ 0."
    )
    learning_rate: float = Field(
        default=1e-4, gt=0, description="Step size of both Adams (β = 0, 0.9), > 0."
    )
    search_starts: int = Field(
        default=8,
        ge=1,
        description="Searches per query, ≥ 1, each from another start, drawn from N(0, 1) by the "
        "seed and the image's own bytes. The original paper is recalled (unverified) to use 64.",
    )
    search_steps: int = Field(
        default=5, ge=1, description="Steps of latent and generator in each search, ≥ 1."
    )
    latent_learning_rate: float = Field(
        default=0.25, gt=0, description="Step size of Adam (β₁ = 0.5) for the latent, > 0."
    )
    generator_learning_rate: float = Field(
        default=5e-5,
        ge=0,
        description="Step size of Adam (β₁ = 0.5) for the generator's weights, ≥ 0; 0 leaves them "
        "as they are.",
    )
    search_batch: int = Field(
        default=1,
        ge=1,
        description="Queries searched for at once. More than 1 may be faster on a GPU; scores then "
        "depend on the batch, by rounding that a search blows up, and every result says so.",
    )


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer f-AnoGAN, AnoGAN and ADGAN."""
    yield Component(
        name="f-anogan",
        summary="f-AnoGAN: Wasserstein GAN of residual networks, then an encoder into its latents",
        factory="anokit_anogan.fanogan:FAnoGAN",
        options=FAnoGANOptions,
        example={
            "latent_size": 8,
            "width": 2,
            "batch_size": 4,
            "images": 20,
            "critic_steps": 2,
            "encoder_steps": 2,
        },
        provides=TRIP | {"latent_hat"},
        trips=frozenset({"image", "latent"}),
        reference="Schlegl et al., f-AnoGAN (Medical Image Analysis, 2019), and its released code",
    )
    yield Component(
        name="anogan",
        summary="AnoGAN: DCGAN whose latents are searched for at scoring",
        factory="anokit_anogan.anogan:AnoGAN",
        options=AnoGANOptions,
        example={
            "latent_size": 8,
            "width": 2,
            "batch_size": 4,
            "images": 8,
            "search_steps": 3,
            "search_starts": 2,
        },
        provides=TRIP,
        reference="Schlegl et al., AnoGAN (IPMI 2017); networks for 32×32 pixels and search as in "
        "the code released with EGBAD and ALAD (Zenati et al., 2018)",
    )
    yield Component(
        name="adgan",
        summary="ADGAN: searches from several starts that adapt the generator to each query",
        factory="anokit_anogan.adgan:ADGAN",
        options=ADGANOptions,
        example={
            "latent_size": 8,
            "width": 2,
            "batch_size": 4,
            "images": 8,
            "search_starts": 2,
            "search_steps": 2,
        },
        provides=IMAGES | {"latent", "search_loss"},
        reference="Deecke et al., ADGAN (ECML 2018), as re-implemented by Golan and El-Yaniv",
    )


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer the score of ADGAN."""
    yield Component(
        name="adgan",
        summary="Mean over all starts of the loss that ADGAN's searches end at",
        factory="anokit_anogan.scores:MeanSearchLoss",
        needs=frozenset({"search_loss"}),
        map_needs=IMAGES,
        reference="Deecke et al., ADGAN (ECML 2018)",
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
