"""Discriminators: what they add to a round trip, what they lose, and what looks wrong in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from anokit.nn import Source


class Judge(Protocol):
    """A discriminator in two parts."""

    def features(self, images: Tensor) -> Tensor:
        """Return features f(x) of images, ``[B, C, H, W] -> [B, F]``."""
        ...

    def judge(self, features: Tensor) -> Tensor:
        """Return logits of the probability that an image is real, ``[B, F] -> [B]``."""
        ...


def opinions(discriminator: Judge) -> dict[str, Source]:
    """Return the sources of a discriminator's fields; ``critic`` is a probability in [0, 1]."""

    def probability(features: Tensor) -> Tensor:
        return discriminator.judge(features).sigmoid()

    return {
        "features": (discriminator.features, "image"),
        "features_hat": (discriminator.features, "image_hat"),
        "critic": (probability, "features"),
        "critic_hat": (probability, "features_hat"),
    }


def cross_entropy(logits: Tensor, target: float) -> Tensor:
    """Return each image's binary cross-entropy with one target for all, ``[B] -> [B]``."""
    goal = torch.full_like(logits, target)
    return binary_cross_entropy_with_logits(logits, goal, reduction="none")


def at_least_float32(values: Tensor) -> Tensor:
    """Return values as float32 where they are narrower: losses are never computed in bfloat16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def saturation_warnings(metrics: Mapping[str, float]) -> list[str]:
    """Return what looks wrong in means of ``critic_real`` and ``critic_fake``."""
    real, fake = metrics.get("critic_real", 0.5), metrics.get("critic_fake", 0.5)
    if real > 0.99 and fake < 0.01:
        text = (
            "the discriminator tells made images from real ones without fail "
            f"({fake:.3f} against {real:.3f}): the other network no longer learns from it"
        )
        return [text]
    return []
