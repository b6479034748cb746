"""What anokit-losses offers: encoder losses on images and on latents. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from anokit.plugin import Component, Options, hookimpl

__all__ = ["AbsoluteOptions", "FeatureOptions", "anokit_encoder_losses"]

BERG = (
    "Berg, Ahlberg, Felsberg: Unsupervised Adversarial Learning of Anomaly Detection in the Wild, "
)
SCHLEGL = "Schlegl et al.: f-AnoGAN, "


class AbsoluteOptions(Options):
    """Options of the losses that are an L1 distance."""

    reduction: Literal["mean", "sum"] = Field(
        default="mean",
        description="mean: over images and elements, as the authors' code. sum: over the elements "
        "of an image, then the mean over images, the L1 norm as printed.",
    )


class FeatureOptions(Options):
    """Options of ``izi-f``."""

    kappa: float = Field(default=1.0, ge=0, description="Weight of the feature term.")


@hookimpl
def anokit_encoder_losses() -> Iterable[Component]:
    """Offer the losses."""
    yield Component(
        name="di",
        summary="Mean |G(z) − G(E(G(z)))|: sampled images survive encoding and decoding",
        factory="anokit_losses.losses:ImageDistance",
        options=AbsoluteOptions,
        needs=frozenset({"image", "image_hat"}),
        trip_from="latent",
        reference=BERG + "equation 1",
    )
    yield Component(
        name="dz",
        summary="Mean |z − E(G(z))|: the encoder recovers sampled latents",
        factory="anokit_losses.losses:LatentDistance",
        options=AbsoluteOptions,
        needs=frozenset({"latent", "latent_hat"}),
        trip_from="latent",
        reference=BERG + "section 4.3, table 1",
    )
    yield Component(
        name="izi",
        summary="Mean (x − G(E(x)))²: training images survive encoding and decoding",
        factory="anokit_losses.losses:SquaredImageDistance",
        needs=frozenset({"image", "image_hat"}),
        trip_from="image",
        reference=SCHLEGL + "izi",
    )
    yield Component(
        name="ziz",
        summary="Mean (z − E(G(z)))²: the encoder recovers sampled latents, squared error",
        factory="anokit_losses.losses:SquaredLatentDistance",
        needs=frozenset({"latent", "latent_hat"}),
        trip_from="latent",
        reference=SCHLEGL + "ziz",
    )
    yield Component(
        name="izi-f",
        summary="izi, and the same on discriminator features with weight kappa",
        factory="anokit_losses.losses:SquaredImageAndFeatureDistance",
        options=FeatureOptions,
        needs=frozenset({"image", "image_hat", "features", "features_hat"}),
        trip_from="image",
        reference=SCHLEGL + "izi_f",
    )
