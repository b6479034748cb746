"""The score of ADGAN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anokit.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip


class MeanSearchLoss:
    """Mean over the starts of mean (x − G(z))² where the search from each start ended.

    Source: Deecke et al., ADGAN (2018).
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the mean: ``[B, starts] -> [B]``, ≥ 0.

        Raises
        ------
        PluginError
            Where ``search_loss`` is unfilled or of another shape.
        """
        losses = trip.get("search_loss")
        if losses is None or losses.ndim != 2:
            got = "it unfilled" if losses is None else str(list(losses.shape))
            raise PluginError(f"score 'adgan' reads search_loss [B, starts]: got {got}")
        return losses.float().mean(dim=1)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of |x − x̂|, x̂ from the best start: ``[B, H, W]``."""
        return (trip.image - trip.image_hat).abs().float().mean(dim=1)
