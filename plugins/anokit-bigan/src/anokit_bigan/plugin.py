"""The components that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from anokit.plugin import Component, Options, hookimpl

TRIP = frozenset(
    {
        "image",
        "latent",
        "image_hat",
        "latent_hat",
        "features",
        "features_hat",
        "critic",
        "critic_hat",
        "logit_hat",
    }
)


class BidirectionalOptions(Options):
    """Options that all backbones of the package have."""

    latent_size: int = Field(default=100, ge=1, description="Components of a latent, ≥ 1.")
    batch_size: int = Field(default=128, ge=2, description="Images per training step, ≥ 2.")
    epochs: float = Field(
        default=100,
        gt=0,
        description="Passes over the training set, > 0; not published for this use.",
    )
    images: int | None = Field(
        default=None,
        ge=1,
        description="Training images to show in all, ≥ 1; unset: as many as epochs says.",
    )
    learning_rate: float = Field(
        default=2e-4, gt=0, description="Step size of all Adams (β = 0.5, 0.999), > 0."
    )
    ema: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="Share of the averaged weights that one step keeps, in [0, 1); 0 = no average. "
        "Scores and samples use the averages.",
    )
    ema_rampup: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Longest span of that average, 1/(1 − ema) steps, as a share of the steps "
        "done, in (0, 1], so that it does not lag behind in a short run; no effect from step "
        "20,000 on.",
    )
    calibrate_images: int = Field(
        default=2000,
        ge=0,
        description="Training images that the averaged networks are shown after training, to take "
        "the statistics of their batch norms from, ≥ 0. 0: the running statistics of the networks "
        "that were trained, which is what released codes use.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Arithmetic of training: 'bf16' = bfloat16 autocast; 'auto' = bf16 on CUDA, "
        "else fp32. Scores are always computed in fp32.",
    )


class BiGANOptions(BidirectionalOptions):
    """Options of ``bigan``; the schedule is DCGAN's, since none is published for this use."""

    networks: Literal["dcgan", "egbad", "ali"] = Field(
        default="dcgan",
        description="'dcgan' = strided 4×4 convolutions, those of ALAD for CIFAR-10, for square "
        "images of 32, 64, 128 … pixels; 'egbad' = few convolutions and dense layers, those of "
        "EGBAD for MNIST, for square images whose side is a multiple of 4; 'ali' = convolutions "
        "without padding, a stochastic encoder and maxout, those of ALI for CIFAR-10, for 32×32 "
        "pixels.",
    )
    width: int | None = Field(
        default=None,
        ge=1,
        description="Channels after the encoder's first convolution, ≥ 1, which all other layers "
        "scale with; unset: as published, 128 for 'dcgan', 32 for the others.",
    )
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the averaged weights that one step keeps, in [0, 1); 0 = no average, "
        "as published. Scores and samples use the averages.",
    )


class EGBADOptions(BiGANOptions):
    """Options of ``egbad``; defaults are those of the released code, with networks for CIFAR-10."""

    batch_size: int = Field(default=100, ge=2, description="Images per training step, ≥ 2.")
    epochs: float = Field(
        default=100,
        gt=0,
        description="Passes over the training set, > 0; the paper is recalled (unverified) to use "
        "100.",
    )
    learning_rate: float = Field(
        default=1e-5, gt=0, description="Step size of all Adams (β = 0.5, 0.999), > 0."
    )
    ema: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="Share of the averaged weights that one step keeps, in [0, 1); 0 = no average. "
        "Scores and samples use the averages.",
    )


class ALADOptions(BidirectionalOptions):
    """Options of ``alad``; defaults are those of the released code for CIFAR-10."""

    width: int = Field(
        default=128,
        ge=1,
        description="Channels after the encoder's first convolution, ≥ 1, which all other layers "
        "scale with but those that judge pairs of latents.",
    )
    batch_size: int = Field(default=32, ge=2, description="Images per training step, ≥ 2.")
    spectral_norm: bool = Field(
        default=True,
        description="Whether every layer of the encoder and of the discriminators is divided by "
        "its largest singular value.",
    )
    dzz: bool = Field(
        default=True, description="Whether a discriminator of pairs of latents takes part."
    )
    join: Literal["channels", "height"] = Field(
        default="channels",
        description="How D_xx is shown two images: 'channels' = as channels of one image; 'height' "
        "= one above the other, which the released code does.",
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="Windows in a row without a new lowest mean feature score after which training "
        "ends early, ≥ 0; 0: never. 10 as released, but there on held-out images: here on training "
        "images, each before it is learnt from. No label is read.",
    )
    stop_every: int = Field(
        default=5000, ge=1, description="Training images in such a window, ≥ 1."
    )


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer BiGAN (with ALI), EGBAD and ALAD."""
    small = {"latent_size": 8, "width": 2, "batch_size": 4, "images": 8, "calibrate_images": 8}
    yield Component(
        name="bigan",
        summary="BiGAN and ALI: encoder and generator, judged together by one discriminator",
        factory="anokit_bigan.bigan:BiGAN",
        options=BiGANOptions,
        example={"networks": "dcgan", **small},
        provides=TRIP,
        reference="Donahue et al., Adversarial Feature Learning (ICLR 2017); Dumoulin et al., "
        "Adversarially Learned Inference (ICLR 2017)",
    )
    yield Component(
        name="egbad",
        summary="EGBAD: BiGAN with averaged weights, scored by residuals of images and features",
        factory="anokit_bigan.egbad:EGBAD",
        options=EGBADOptions,
        example={"networks": "egbad", **small},
        provides=TRIP,
        reference="Zenati et al., Efficient GAN-Based Anomaly Detection (2018), and its released "
        "code",
    )
    yield Component(
        name="alad",
        summary="ALAD: BiGAN with discriminators of pairs of images and of latents, spectral norm",
        factory="anokit_bigan.alad:ALAD",
        options=ALADOptions,
        example={**small, "patience": 1, "stop_every": 4},
        provides=TRIP,
        reference="Zenati et al., Adversarially Learned Anomaly Detection (ICDM 2018), and its "
        "released code",
    )


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer the score on the discriminator's output for a reconstruction."""
    yield Component(
        name="critic-cross-entropy",
        summary="Cross-entropy of the discriminator's logit for the reconstruction with 'real'",
        factory="anokit_bigan.scores:CriticCrossEntropy",
        needs=frozenset({"logit_hat"}),
        reference="Zenati et al., EGBAD (2018): term 'cross-e'; Zenati et al., ALAD (2018): "
        "'logits'",
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
