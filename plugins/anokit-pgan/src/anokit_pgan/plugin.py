"""What anokit-pgan offers: the backbone ``pgan``. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from anokit.plugin import Component, Options, hookimpl

__all__ = ["PganOptions", "anokit_backbones", "anokit_recipes"]

Pixels = Annotated[int, Field(ge=4)]
Count = Annotated[int, Field(ge=1)]

BATCH_SIZES = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4}
"""Images per step by resolution: Karras et al.'s setting for one GPU, continued downwards."""


class PganOptions(Options):
    """Options of the progressive GAN with encoder; the defaults are the published setting."""

    latent_size: int = Field(
        default=512,
        ge=2,
        description="Components of a latent vector z, and of the encoder's output.",
    )
    base_channels: int = Field(
        default=8192,
        ge=1,
        description="Width of the networks: a block at r×r pixels has min(2·base_channels/r, "
        "max_channels) channels.",
    )
    max_channels: int = Field(default=512, ge=1, description="Most channels that a block has.")
    images: int = Field(
        default=3_947_520,
        ge=1,
        description="Training images shown in all. Published: 3,947,520 for 32×32 pixels, "
        "5,267,712 for 64×64.",
    )
    phase_images: int = Field(
        default=600_000,
        ge=1,
        description="Most training images of one phase of growth: of a fade, and of the training "
        "after it. A smaller `images` shortens these phases in proportion; the last phase gets the "
        "rest.",
    )
    batch_sizes: dict[Pixels, Count] = Field(
        default=BATCH_SIZES,
        min_length=1,
        description="Images per step by resolution in pixels. A resolution that is not listed has "
        "the entry of the next smaller one, or else the smallest's.",
    )
    batch_size: int | None = Field(
        default=None, ge=1, description="Images per step at every resolution, instead of the above."
    )
    learning_rate: float = Field(
        default=0.001,
        gt=0,
        description="Step size of Adam (betas 0 and 0.99, epsilon 1e-8) for every network.",
    )
    wgan_target: float = Field(
        default=1.0,
        gt=0,
        description="Gradient norm t that the penalty asks of the critic, per image of full size: "
        "below full resolution, images are taken as upscaled. Published: 1; Karras et al. used 750 "
        "for CIFAR-10.",
    )
    gradient_penalty: float = Field(
        default=10.0, ge=0, description="Weight of the penalty (‖∇D‖ − t)²/t² in the critic's loss."
    )
    drift: float = Field(
        default=0.001,
        ge=0,
        description="Weight of D(x)² in the critic's loss; it keeps the critic's output near zero.",
    )
    ema: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="Share of the averaged generator that one step keeps. Scores and samples come "
        "from the average.",
    )
    ema_rampup: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Longest span of that average, 1/(1 − ema) steps, as a share of the steps "
        "done, so that in a short run it does not lag behind the encoder. With the default ema it "
        "has no effect from step 20,000 on. 1 is as good as none, as published.",
    )
    latent_scale: float = Field(
        default=1.0,
        gt=0,
        description="Standard deviation of each component of a sampled z. The generator sees the "
        "direction of z alone; the scale matters to encoder losses that compare latents (dz). The "
        "authors' code has 0.1.",
    )
    encoder_update: Literal["joint", "encoder-only"] = Field(
        default="joint",
        description="Whom the encoder losses train: generator and encoder together (the paper's "
        "equation 1) or the encoder alone (the authors' code).",
    )
    encoder_bias: bool = Field(
        default=True,
        description="Whether the encoder's layers have biases, as published. Without, and but for "
        "its minibatch standard deviation, k times an image has k times the latent.",
    )
    inference: Literal["encoder", "search"] = Field(
        default="encoder",
        description="Where the latent of a query comes from: the encoder, or a search through the "
        "generator at scoring (AnoGAN's), with no encoder at all and no encoder losses; Figure 2, "
        "a and d, of the paper.",
    )
    search_steps: int = Field(
        default=500, ge=1, description="Steps of Adam of that search; not published, 500 as AnoGAN."
    )
    search_learning_rate: float = Field(
        default=0.01,
        gt=0,
        description="Step size of these: 0.1 of it from 40 % of the steps on, 0.05 from 60 %.",
    )
    search_starts: int = Field(
        default=1,
        ge=1,
        description="Searches per query, each from another start, drawn from U(-1, 1) by the "
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
        description="Weight λ of Σ|f(x) − f(G(z))| in the search, f the discriminator's "
        "activations at 4×4 pixels; Σ|x − G(z)| weighs 1 − λ.",
    )
    minibatch_stddev: Literal["frozen", "batch"] = Field(
        default="frozen",
        description="Minibatch standard deviation at scoring: its mean over real training images, "
        "so that no image's score depends on another image, or its value over the batch being "
        "scored, as published.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Arithmetic of training. auto: bfloat16 autocast on CUDA, float32 elsewhere. "
        "The gradient penalty, and all of scoring, is float32 in any case.",
    )
    tf32: bool = Field(
        default=True,
        description="Allow TensorFloat-32 in float32 products while training on CUDA; never while "
        "scoring.",
    )
    memory_format: Literal["auto", "nchw", "channels_last"] = Field(
        default="auto",
        description="Layout of activations in memory; changes speed alone. auto: channels_last.",
    )


FIELDS = frozenset(
    {"image", "latent", "image_hat", "features", "features_hat", "critic", "critic_hat"}
)


def _provides(options: PganOptions) -> frozenset[str]:
    """Return the fields of a round trip; without an encoder, nothing is encoded again."""
    return FIELDS if options.inference == "search" else FIELDS | {"latent_hat"}


def _trips(options: PganOptions) -> frozenset[str]:
    """Return where trips to train an encoder on may start; without an encoder, nowhere."""
    return frozenset() if options.inference == "search" else frozenset({"image", "latent"})


@hookimpl
def anokit_backbones() -> Iterable[Component]:
    """Offer the backbone."""
    yield Component(
        name="pgan",
        summary="Progressive GAN with an encoder trained at the same time",
        factory="anokit_pgan.backbone:ProgressiveGAN",
        options=PganOptions,
        example={
            "latent_size": 16,
            "base_channels": 64,
            "max_channels": 8,
            "images": 96,
            "batch_size": 8,
        },
        provides=_provides,
        trips=_trips,
        reference="Berg, Ahlberg, Felsberg: Unsupervised Adversarial Learning of Anomaly Detection "
        "in the Wild, equation 1 and appendix A; Karras et al.: Progressive Growing of GANs",
    )


@hookimpl
def anokit_recipes() -> Iterable[Path]:
    """Offer the recipes that lie in this package."""
    return Path(__file__).with_name("recipes").glob("*.toml")
