"""How typical the length of an encoding is, in units of the training set's own spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit_scores.tensors import fitted, gather, norms, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip

MAD_TO_SIGMA = 1.4826
"""1 / Φ⁻¹(3/4): makes the median absolute deviation of a normal sample estimate its σ."""

SCALE_FLOOR = 1e-6
"""Smallest scale, as a share of the median: that of rounding in a float32 norm."""


class NormTypicality(nn.Module):
    """|‖ẑ‖₂ − median| / (1.4826 · MAD), median and MAD over the norms of the training images.

    About the number of standard deviations from a typical norm, in either direction, and little
    moved by the anomalies that an unlabelled training set contains (up to half of it may be
    arbitrary). Where more than half of the training norms are equal, MAD is 0; the scale is then
    10⁻⁶ of the median instead, so that scores stay finite.
    """

    median: Tensor
    scale: Tensor

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("median", torch.empty(0))
        self.register_buffer("scale", torch.empty(0))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Take the median and the scale of the norms of ``latent`` over all training images."""
        lengths = norms(gather(trips, "norm-typicality", "latent"))
        median = lengths.quantile(0.5)
        deviation = (lengths - median).abs().quantile(0.5)
        floor = (SCALE_FLOOR * median).clamp_min(1e-12)
        self.median = median
        self.scale = torch.maximum(MAD_TO_SIGMA * deviation, floor)

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return the robust distance from a typical norm: ``[B, Z] -> [B]``, ≥ 0."""
        (latent,) = read(trip, "norm-typicality", "latent")
        return (norms(latent) - fitted(self.median, "norm-typicality")).abs() / self.scale
