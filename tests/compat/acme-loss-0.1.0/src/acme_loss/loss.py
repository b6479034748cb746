"""The encoder loss: images should come back as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from anokit import RoundTrip
    from acme_loss.plugin import LossOptions


class Loss:
    """Mean over images, channels and pixels of |x − x̂|ᵖ."""

    def __init__(self, options: LossOptions) -> None:
        self.power = options.power

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return one number for the batch: ``[B, C, H, W], [B, C, H, W] -> scalar``, ≥ 0."""
        return (trip.image - trip.image_hat).abs().pow(self.power).mean()
