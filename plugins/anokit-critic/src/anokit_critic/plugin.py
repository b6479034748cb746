"""The components that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from anokit.plugin import Component, Options, hookimpl

ALOCC_PAPER = (
    "Sabokrou, Khalooei, Fathy, Adeli, Adversarially Learned One-Class Classifier (CVPR 2018)"
)
FENCE_GAN_PAPER = (
    "Ngo, Winarto, Kou, Park, Akram, Lee, Fence GAN: Towards Better Anomaly Detection (2019)"
)


class CriticOptions(Options):
    """Options that both backbones have."""

    images: int | None = Field(
        default=None,
        ge=1,
        description="Training images to show in the adversarial phase, ≥ 1; unset: as many as "
        "epochs says.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description=(
            "Arithmetic of training: 'bf16' = bfloat16 autocast, losses in float32; 'auto' = bf16 "
            "on CUDA, else fp32. Scores are always computed in fp32."
        ),
    )


class ALOCCOptions(CriticOptions):
    """Options of ``alocc``; defaults are those of the released code where it has them."""

    width: int = Field(
        default=16, ge=1, description="Channels after D's first convolution, ≥ 1; R's narrowest."
    )
    noise: float = Field(
        default=0.155,
        ge=0,
        description="σ of the Gaussian noise that is added to what R gets in training, ≥ 0, for "
        "images in [-1, 1]. Scoring adds none.",
    )
    reconstruction: Literal["squared", "cross-entropy"] = Field(
        default="squared",
        description=(
            "What keeps R(x̃) near its image: 'squared' = mean (x − R(x̃))², the paper's, taken as a "
            "mean over pixels; 'cross-entropy' = that of the released code, a binary cross-entropy "
            "with R's output, behind its tanh, for logits and the noisy x̃ itself, in [-1, 1], for "
            "targets: a quirk, which rewards little more than the sign of a pixel."
        ),
    )
    w_rec: float | None = Field(
        default=None,
        ge=0,
        description=(
            "Weight of the reconstruction loss, ≥ 0; unset: 0.4 for 'squared', as the paper has it "
            "(recalled, unverified), 0.2 for 'cross-entropy', as in the released code."
        ),
    )
    refiner_steps: int = Field(
        default=2, ge=1, description="Updates of R after each one of D, ≥ 1; released: 2."
    )
    batch_size: int = Field(default=128, ge=1, description="Images per training step, ≥ 1.")
    epochs: float = Field(
        default=40, gt=0, description="Passes over the training set, > 0, unless it stops earlier."
    )
    learning_rate: float = Field(
        default=2e-3, gt=0, description="Step size of both RMSProps (TensorFlow's), > 0."
    )
    stop_below: float | None = Field(
        default=None,
        gt=0,
        description=(
            "Training ends once the mean of (x − R(x̃))² over the pixels of stop_window steps is "
            "below this ρ, > 0. No label is read. The paper stops so, before R learns to refine "
            "anomalies too, but no ρ is known, so by default, and as in the released code, all "
            "epochs are run. For photographs σ² is a yardstick: below it, R(x̃) is nearer to x than "
            "x̃ is. ρ must be well below the variance of the images, or R has learnt nothing yet."
        ),
    )
    stop_window: int = Field(
        default=50,
        ge=1,
        description="Steps that the error is averaged over before it is compared with stop_below, "
        "≥ 1.",
    )
    batch_norm: Literal["eval", "batch"] = Field(
        default="eval",
        description=(
            "Statistics of batch norm at scoring: 'eval' = running means of training; 'batch' = "
            "those of the batch being scored, as in the released code, which makes a score depend "
            "on the other images of its batch."
        ),
    )


class FenceGANOptions(CriticOptions):
    """Options of ``fence-gan``; defaults are those of the released code for CIFAR-10."""

    width: int = Field(
        default=32,
        ge=1,
        description="Channels at half the image's side, ≥ 1; twice as many at each halving, up to "
        "8 times.",
    )
    latent_size: int = Field(
        default=256, ge=1, description="Components of z ~ N(0, I), ≥ 1; MNIST: 200."
    )
    target: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="α, what G wants D to say of its images, in (0, 1): they are to surround the "
        "training images, not to hide among them; MNIST: 0.1.",
    )
    dispersion: float = Field(
        default=10.0,
        ge=0,
        description="β, weight of 1 / (mean distance of generated images to their centre), ≥ 0; "
        "MNIST: 30.",
    )
    fake_weight: float = Field(
        default=0.5,
        ge=0,
        description="γ, weight of D's loss on generated images, ≥ 0; MNIST: 0.1.",
    )
    dropout: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of D's last features that is dropped in training, in [0, 1).",
    )
    batch_size: int = Field(
        default=128, ge=2, description="Images per training step, ≥ 2; MNIST: 200."
    )
    pretrain_epochs: float = Field(
        default=15,
        ge=0,
        description="Passes over the training set in which D alone is trained, before G's first "
        "step, ≥ 0.",
    )
    epochs: float = Field(
        default=150,
        gt=0,
        description="Passes over the training set with both networks, > 0; MNIST: 100.",
    )
    learning_rate_d: float = Field(
        default=1e-4, gt=0, description="Step size of D's Adam at the beginning, > 0; MNIST: 1e-5."
    )
    learning_rate_g: float = Field(
        default=1e-3, gt=0, description="Step size of G's Adam, > 0; MNIST: 2e-5."
    )
    decay: float = Field(
        default=1e-5,
        ge=0,
        description="D's step size after n of its updates is learning_rate_d / (1 + decay·n), ≥ 0; "
        "MNIST: 0.",
    )


class CriticRejectionOptions(Options):
    """Options of ``critic-rejection``."""

    on: Literal["image", "reconstruction"] = Field(
        default="image",
        description="What is judged: 'image' = x; 'reconstruction' = x̂, for backbones whose "
        "reconstructions spoil what is anomalous (ALOCC).",
    )


def _judged(options: CriticRejectionOptions) -> frozenset[str]:
    """Return the field that ``critic-rejection`` reads."""
    return frozenset({"critic" if options.on == "image" else "critic_hat"})


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer ALOCC and Fence GAN."""
    yield Component(
        name="alocc",
        summary="ALOCC: a refiner of noisy images and the discriminator that judges them",
        factory="anokit_critic.alocc:ALOCC",
        options=ALOCCOptions,
        example={"width": 4, "batch_size": 4, "images": 8},
        provides=frozenset(
            {"image", "image_hat", "features", "features_hat", "critic", "critic_hat"}
        ),
        weighs_images=True,
        reference=ALOCC_PAPER,
    )
    yield Component(
        name="fence-gan",
        summary="Fence GAN: a generator that surrounds the data; its discriminator is the score",
        factory="anokit_critic.fence_gan:FenceGAN",
        options=FenceGANOptions,
        example={"width": 4, "latent_size": 8, "batch_size": 4, "pretrain_epochs": 1, "images": 8},
        provides=frozenset({"image", "features", "critic"}),
        weighs_images=True,
        reference=FENCE_GAN_PAPER,
    )


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer what a discriminator thinks of an image."""
    yield Component(
        name="critic-rejection",
        summary="1 − D: how sure a discriminator is that an image, or its reconstruction, is none",
        factory="anokit_critic.rejection:CriticRejection",
        options=CriticRejectionOptions,
        example={"on": "image"},
        needs=_judged,
        reference=f"{ALOCC_PAPER}: OCC1 on the image, OCC2 on the reconstruction; Fence GAN (2019)",
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
