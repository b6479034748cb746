"""Ln: the residual between two images that are first scaled to their own ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from anokit_scores.tensors import channel_mean_abs, min_max, norms, read

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_scores.plugin import LnOptions


class NormalisedResidual:
    """Ln: how far w(Q) is from w(R), query and reconstruction scaled to [0, 1] one by one.

    With N = C·H·W and d = w(Q) − w(R), where w is `anokit_scores.tensors.min_max`:

    - ``l2-over-n``: ‖d‖₂ / N, as equation 2 prints it;
    - ``rms``: ‖d‖₂ / √N;
    - ``mse``: ‖d‖₂² / N, the reading of a third party (P-CEAD);
    - ``mae``: mean of |Q − R|, without w: what the paper's released code computes.

    Source: Berg et al., equations 2 and 3.
    """

    def __init__(self, options: LnOptions) -> None:
        self.mode = options.mode

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return Ln: ``[B, C, H, W], [B, C, H, W] -> [B]``, ≥ 0."""
        difference = self._difference(trip)
        count = difference[0].numel()
        if self.mode == "l2-over-n":
            return norms(difference) / count
        if self.mode == "rms":
            return norms(difference) / math.sqrt(count)
        if self.mode == "mse":
            return norms(difference).square() / count
        return difference.abs().flatten(1).mean(dim=1)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the channel mean of |w(Q) − w(R)|, of |Q − R| in mode ``mae``: ``[B, H, W]``."""
        return channel_mean_abs(self._difference(trip))

    def _difference(self, trip: RoundTrip) -> Tensor:
        query, reconstruction = read(trip, "ln", "image", "image_hat")
        if self.mode == "mae":
            return query - reconstruction
        return min_max(query) - min_max(reconstruction)
