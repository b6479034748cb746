"""The backbones and scores that this package offers, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from anokit.plugin import Component, Options, hookimpl

IMAGES = frozenset({"image", "image_hat"})
TRIP = IMAGES | {"latent", "latent_hat"}
CAE = (
    "strided: Golan and El-Yaniv, Deep Anomaly Detection Using Geometric Transformations (2018); "
    "lenet: Ruff et al., Deep One-Class Classification (2018)"
)
KINGMA = "Kingma and Welling, Auto-Encoding Variational Bayes (2014)"
MAKHZANI = "Makhzani et al., Adversarial Autoencoders (2015)"
SMALL = {"width": 4, "latent_size": 16, "batch_size": 4, "images": 8}


class AutoencoderOptions(Options):
    """Options that all three backbones have."""

    lenet: ClassVar[Mapping[str, Any]] = {"width": 32}
    """Defaults that are others with ``networks = "lenet"``."""

    networks: Literal["strided", "lenet"] = Field(
        default="strided",
        description=(
            "Encoder and decoder: 'strided' = 3×3 convolutions of stride 2 with batch norm and "
            "ReLU, the convolutional autoencoder of the GEOM authors; 'lenet' = 5×5 convolutions "
            "with pooling, leaky ReLU and neither bias nor affine batch norm, that of Deep SVDD."
        ),
    )
    width: int = Field(
        default=64,
        ge=1,
        description=(
            "Channels of the first convolution, ≥ 1; they double wherever the side halves, up to 8 "
            "times as many. Default: 64, with 'lenet' 32, as published."
        ),
    )
    latent_size: int = Field(
        default=128,
        ge=1,
        description="Components of a latent, ≥ 1; with 'lenet' a multiple of 16.",
    )
    batch_size: int = Field(default=128, ge=2, description="Images per training step, ≥ 2.")
    epochs: float = Field(default=200, gt=0, description="Passes over the training set, > 0.")
    images: int | None = Field(
        default=None,
        ge=1,
        description="Training images to show in all, ≥ 1; unset: as many as epochs says.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Step size of Adam, > 0.")
    learning_rate_drop: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description=(
            "Share of the training after which the learning rate is divided by 10, in (0, 1]; "
            "1: never."
        ),
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="λ of the penalty λ/2·‖w‖² on encoder and decoder, ≥ 0.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description=(
            "Arithmetic of training: 'bf16' = bfloat16 autocast, losses in float32; 'auto' = bf16 "
            "on CUDA, else fp32. Scores are always computed in fp32."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_networks(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("networks") == "lenet":
            return {**cls.lenet, **given}
        return given

    @model_validator(mode="after")
    def _latent_fits_the_networks(self) -> Self:
        if self.networks == "lenet" and self.latent_size % 16:
            raise ValueError(
                "networks = 'lenet' reads a latent as maps of 4×4 pixels: latent_size must be a "
                f"multiple of 16, got {self.latent_size}"
            )
        return self


class AeOptions(AutoencoderOptions):
    """Options of ``ae``; defaults are those published with the networks."""

    lenet: ClassVar[Mapping[str, Any]] = {
        "width": 32,
        "latent_size": 128,
        "batch_size": 200,
        "epochs": 350,
        "learning_rate": 1e-4,
        "learning_rate_drop": 250 / 350,
        "weight_decay": 0.5e-6,
    }

    latent_size: int = Field(
        default=256,
        ge=1,
        description=(
            "Components of a latent, ≥ 1; with 'lenet' a multiple of 16. Default: 256, with "
            "'lenet' 128, as published."
        ),
    )
    batch_size: int = Field(
        default=128,
        ge=2,
        description="Images per training step, ≥ 2. Default: 128, with 'lenet' 200, as published.",
    )
    epochs: float = Field(
        default=200,
        gt=0,
        description=(
            "Passes over the training set, > 0. Default: 200, with 'lenet' 350, as published."
        ),
    )
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        description="Step size of Adam, > 0. Default: 1e-3, with 'lenet' 1e-4, as published.",
    )
    learning_rate_drop: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description=(
            "Share of the training after which the learning rate is divided by 10, in (0, 1]; "
            "1: never. Default: 1, with 'lenet' 250/350, as published."
        ),
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description=(
            "λ of the penalty λ/2·‖w‖² on encoder and decoder, ≥ 0. Default: 0, with 'lenet' "
            "0.5e-6, as published."
        ),
    )


class VaeOptions(AutoencoderOptions):
    """Options of ``vae``."""

    variance: float = Field(
        default=1.0,
        gt=0,
        description=(
            "σ² of the Gaussian p(x|z), > 0, for images in [-1, 1]: the squared error is summed "
            "over pixels and channels and divided by 2σ². Smaller: sharper images, and more in "
            "the codes."
        ),
    )
    beta: float = Field(
        default=1.0,
        ge=0,
        description="Weight of the KL divergence in training, ≥ 0, summed over the latent.",
    )
    draws: int = Field(
        default=0,
        ge=0,
        le=64,
        description=(
            "Draws of z behind reconstruction_error at scoring, 0 to 64: 0 = none, z is the mean μ "
            "of its Gaussian. The draws use the same noise for every image."
        ),
    )


class AaeOptions(AutoencoderOptions):
    """Options of ``aae``; the paper's learning rates are recalled, unverified."""

    latent_size: int = Field(
        default=64,
        ge=1,
        description="Components of a latent, ≥ 1; with 'lenet' a multiple of 16.",
    )
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        description="Step size of the reconstruction's Adam, > 0; 1e-3 is recalled, unverified.",
    )
    adversarial_learning_rate: float = Field(
        default=1e-4,
        gt=0,
        description=(
            "Step size of the discriminator's Adam and of the one by which the encoder deceives "
            "it, > 0; 1e-4 is recalled, unverified."
        ),
    )
    critic_width: int = Field(
        default=1000,
        ge=1,
        description="Units of each of the two hidden layers of the latent's discriminator, ≥ 1.",
    )


class ElboOptions(Options):
    """Options of ``elbo``."""

    beta: float = Field(
        default=1.0,
        ge=0,
        description=(
            "Weight of the KL divergence in the score, ≥ 0, whatever it was in training: 1 = the "
            "evidence bound; 0 = the error alone, which with the backbone's draws ≥ 1 is An and "
            "Cho's reconstruction probability."
        ),
    )


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer a plain, a variational and an adversarial autoencoder."""
    yield Component(
        name="ae",
        summary="Convolutional autoencoder, trained on the squared error of its reconstructions",
        factory="anokit_autoencoders.autoencoder:Autoencoder",
        options=AeOptions,
        example=SMALL,
        provides=TRIP,
        weighs_images=True,
        reference=CAE,
    )
    yield Component(
        name="vae",
        summary="Variational autoencoder: Gaussian codes and images, trained on the evidence bound",
        factory="anokit_autoencoders.vae:VariationalAutoencoder",
        options=VaeOptions,
        example=SMALL | {"draws": 2},
        provides=TRIP | {"latent_log_variance", "kl_divergence", "reconstruction_error"},
        weighs_images=True,
        reference=f"{KINGMA}; networks: {CAE}",
    )
    yield Component(
        name="aae",
        summary="Adversarial autoencoder: a discriminator makes its codes look like N(0, I)",
        factory="anokit_autoencoders.aae:AdversarialAutoencoder",
        options=AaeOptions,
        example=SMALL | {"critic_width": 8},
        provides=TRIP | {"critic", "critic_hat"},
        weighs_images=True,
        reference=f"{MAKHZANI}; networks: {CAE}",
    )


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer likelihoods of images and of codes."""
    yield Component(
        name="elbo",
        summary="Minus the evidence bound of vae: reconstruction error plus KL, summed, in nats",
        factory="anokit_autoencoders.scores:Elbo",
        options=ElboOptions,
        example={"beta": 1.0},
        needs=frozenset({"reconstruction_error", "kl_divergence"}),
        map_needs=IMAGES,
        reference=(
            f"{KINGMA}, equation 3; An and Cho, Variational Autoencoder based Anomaly Detection "
            "using Reconstruction Probability (2015)"
        ),
    )
    yield Component(
        name="latent-likelihood",
        summary="Minus log p(ẑ) under N(0, I): long codes are anomalous, the opposite sign of Lo",
        factory="anokit_autoencoders.scores:LatentLikelihood",
        needs=frozenset({"latent"}),
        reference=(
            f"{MAKHZANI}; Beggel, Pfeiffer, Bischl, Robust Anomaly Detection in Images using "
            "Adversarial Autoencoders (2019)"
        ),
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
