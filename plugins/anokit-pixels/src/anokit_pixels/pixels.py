"""The backbone ``pixels``: no model at all, for recipes whose scores read raw images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from anokit.types import RoundTrip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import ImageSpec, Phase, WeightedLoss


class Pixels(nn.Module):
    """Hands images on as they are; has no weights and is never trained."""

    def __init__(
        self, options: Options, spec: ImageSpec, encoder_losses: Sequence[WeightedLoss] = ()
    ) -> None:
        super().__init__()

    def phases(self) -> Sequence[Phase]:
        """Return nothing: there is nothing to train."""
        return ()

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Return a trip with ``image`` ``[B, C, H, W]`` alone."""
        return RoundTrip(image=images)
