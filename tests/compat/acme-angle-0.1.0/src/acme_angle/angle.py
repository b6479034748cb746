"""The score: how far a code points away from the training codes around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from anokit import DataError, RoundTrip

if TYPE_CHECKING:
    from acme_angle.plugin import AngleOptions


class Angle(nn.Module):
    """Mean angle of ẑ to its k nearest training codes over their own mean angle to theirs.

    About 1 for a code that lies among the training codes; the length of ẑ does not matter.
    """

    directions: Tensor
    """``[N, Z]``: training codes, scaled to length 1"""
    usual: Tensor
    """``[N]``: mean angle of each to its own k nearest, in radians"""

    def __init__(self, options: AngleOptions) -> None:
        super().__init__()
        self.k = options.k
        self.register_buffer("directions", torch.empty(0, 0))
        self.register_buffer("usual", torch.empty(0))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Keep the directions of the training codes and how densely they lie.

        Raises
        ------
        DataError
            Where there are not more than k training images.
        """
        codes = torch.cat([trip.latent for trip in trips])
        if len(codes) <= self.k:
            raise DataError(
                f"score 'angle': expected more than k = {self.k} training images, got {len(codes)}"
            )
        self.directions = normalize(codes.double()).float()
        angles, _ = nearest(self.directions, self.directions, self.k + 1)
        self.usual = angles[:, 1:].mean(dim=1).float()  # the nearest of all is the code itself

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return the relative angle: ``[B, Z] -> [B]``, ≥ 0."""
        angles, places = nearest(trip.latent, self.directions, self.k)
        usual = self.usual[places].mean(dim=1).clamp_min(1e-6)
        return (angles.mean(dim=1) / usual).float()


def nearest(codes: Tensor, directions: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return angles and places of the k nearest directions: ``[B, Z], [N, Z] -> [B, k] ×2``.

    In double precision: the rounding of a float32 product depends on the size of the batch.
    """
    cosines = normalize(codes.double()) @ directions.double().T
    found, places = cosines.topk(k, dim=1)
    return found.clamp(-1, 1).arccos(), places
