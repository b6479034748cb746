"""Round trips through the three networks, of which only the fields asked for are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from anokit.nn import Source, fill
from anokit.types import RoundTrip
from anokit_pgan.networks import Discriminator, Encoder, Generator

__all__ = ["Networks", "trip_from_image", "trip_from_latent"]


@dataclass(frozen=True)
class Networks:
    """The three networks as they are at one moment of their growth."""

    generator: Generator
    discriminator: Discriminator
    encoder: Encoder | None
    """None where latents are searched for"""
    resolution: int
    fade: float = 1.0
    """share of the block at ``resolution``, in [0, 1]"""

    def generate(self, latent: Tensor) -> Tensor:
        """Return G(z), ``[B, Z] -> [B, C, r, r]``."""
        return self.generator(latent, self.resolution, self.fade)

    def encode(self, image: Tensor) -> Tensor:
        """Return E(x), ``[B, C, r, r] -> [B, Z]``."""
        if self.encoder is None:
            raise ValueError("these networks have no encoder: pass trip_from_image a search")
        return self.encoder(image, self.resolution, self.fade)

    def activations(self, image: Tensor) -> Tensor:
        """Return D's activations after its 8×8 block, ``[B, C, r, r] -> [B, F, 4, 4]``."""
        return self.discriminator.features(image, self.resolution, self.fade)

    def judge(self, activations: Tensor) -> Tensor:
        """Return D(x) of D's activations, ``[B, F, 4, 4] -> [B]``."""
        return self.discriminator.judge(activations)

    def criticise(self, image: Tensor) -> Tensor:
        """Return D(x), ``[B, C, r, r] -> [B]``."""
        return self.judge(self.activations(image))


def trip_from_image(
    networks: Networks,
    image: Tensor,
    needs: frozenset[str],
    infer: Callable[[Tensor], Tensor] | None = None,
) -> RoundTrip:
    """Fill ``needs`` for images ``[B, C, r, r]``: x, ẑ = E(x), x̂ = G(ẑ), E(x̂).

    ``infer`` finds ẑ instead of E where it is given.
    """
    sources: dict[str, Source] = {
        "latent": (infer or networks.encode, "image"),
        "image_hat": (networks.generate, "latent"),
        "latent_hat": (networks.encode, "image_hat"),
    }
    return fill({"image": image}, sources | _opinions(networks), needs)


def trip_from_latent(networks: Networks, latent: Tensor, needs: frozenset[str]) -> RoundTrip:
    """Fill ``needs`` for latents ``[B, Z]``: z, x = G(z), ẑ = E(x), x̂ = G(ẑ)."""
    sources: dict[str, Source] = {
        "image": (networks.generate, "latent"),
        "latent_hat": (networks.encode, "image"),
        "image_hat": (networks.generate, "latent_hat"),
    }
    return fill({"latent": latent}, sources | _opinions(networks), needs)


def _opinions(networks: Networks) -> dict[str, Source]:
    """Return the discriminator's fields; features and critic share a pass through its blocks."""
    return {
        "activations": (networks.activations, "image"),
        "activations_hat": (networks.activations, "image_hat"),
        "features": (_flatten, "activations"),
        "features_hat": (_flatten, "activations_hat"),
        "critic": (networks.judge, "activations"),
        "critic_hat": (networks.judge, "activations_hat"),
    }


def _flatten(activations: Tensor) -> Tensor:
    return activations.flatten(1)
