"""What a discriminator adds to a round trip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.nn import Source


def opinions(
    features: Callable[[Tensor], Tensor], judge: Callable[[Tensor], Tensor]
) -> dict[str, Source]:
    """Return the sources of a discriminator's fields; features and critic share a pass.

    ``features`` maps ``[B, C, H, W] -> [B, F]``, ``judge`` those on to ``[B]``.
    """
    return {
        "features": (features, "image"),
        "features_hat": (features, "image_hat"),
        "critic": (judge, "features"),
        "critic_hat": (judge, "features_hat"),
    }
