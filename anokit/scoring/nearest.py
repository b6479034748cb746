"""Which training images are most like some of them, by what a score reads of an image."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from anokit.data.sets import Rows, TrainingSet, all_rows
from anokit.scoring.trips import Trips
from anokit.training.backbone import GuardedBackbone
from anokit.types import RoundTrip
from anokit.watching import NOBODY, Advance, Watcher

WHOLES_AT_ONCE = 256
"""Images whose vectors are held at once; those of the others are made and forgotten."""

SIDE = 64
"""Raw images are compared at most this large: their distance changes little by it."""

WORDS = {
    "features": "cosine distance of their features",
    "latent": "distance of their latents",
    "patches": "cosine distance of their mean patches",
    "image": f"distance of their pixels, at most {SIDE}×{SIDE} of them",
}


@dataclass(frozen=True)
class Likeness:
    """What images are compared by."""

    field: str
    """a field of a round trip, one of `WORDS`"""

    @classmethod
    def of(cls, needs: AbstractSet[str]) -> Likeness:
        """Return the best that a score with these ``needs`` reads: vectors, else the image."""
        return cls(next((name for name in WORDS if name in needs), "image"))

    @property
    def words(self) -> str:
        """Return by what images are compared, in words."""
        return WORDS[self.field]

    def vectors(self, trip: RoundTrip) -> Tensor:
        """Return what is compared of each image of a trip: float64 ``[B, F]`` on the CPU."""
        value = getattr(trip, self.field)
        if self.field == "patches":
            value = value.mean(dim=(2, 3))
        elif self.field == "image" and max(value.shape[2:]) > SIDE:
            height, width = (min(side, SIDE) for side in value.shape[2:])
            value = functional.adaptive_avg_pool2d(value, (height, width))
        return value.flatten(1).cpu().double()

    def distances(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Return how far ``ours`` ``[S, F]`` are from ``theirs`` ``[B, F]``: ``[S, B]``, ≥ 0."""
        if self.field in ("features", "patches"):
            ours, theirs = functional.normalize(ours), functional.normalize(theirs)
            return (1 - ours @ theirs.T).clamp_min(0)
        return torch.cdist(ours, theirs)


@dataclass(frozen=True)
class Neighbours:
    """The nearest training images of S of them, the nearest first."""

    places: Rows
    """``[S, k]``: places among the images as the user knows them"""
    distances: npt.NDArray[np.float64]
    """``[S, k]``, ≥ 0"""


def nearest_training_images(
    backbone: GuardedBackbone,
    train: TrainingSet,
    chosen: Rows,
    likeness: Likeness,
    *,
    count: int,
    batch_size: int,
    device: torch.device,
    watcher: Watcher = NOBODY,
) -> Neighbours:
    """Return the ``count`` training images nearest to each of ``chosen``, itself left out.

    Images are those that the user knows: where they are cut into tiles, the means of their tiles'
    vectors are compared. k is less than ``count`` where there are fewer others. All images make one
    trip through the network, the chosen ones two; what is held in memory does not grow with the
    training set.

    Parameters
    ----------
    chosen
        ``[S]``: places in ``train.wholes``.
    """
    described = _Described(backbone, train, likeness, batch_size, device)
    ours = described.vectors(chosen)
    several = len(train.wholes)
    advance = watcher.track("looking for the nearest training images", len(train))
    best = torch.empty(len(chosen), 0, dtype=torch.float64)
    places = torch.empty(len(chosen), 0, dtype=torch.int64)
    own = torch.from_numpy(chosen)[:, None]
    for start in range(0, several, WHOLES_AT_ONCE):
        part = all_rows(several)[start : start + WHOLES_AT_ONCE]
        distances = likeness.distances(ours, described.vectors(part, advance))
        here = torch.from_numpy(part).expand(len(chosen), -1)
        best = torch.cat([best, distances.masked_fill(here == own, torch.inf)], dim=1)
        places = torch.cat([places, here], dim=1)
        # Of equal ones the first in the training set, however it is cut up.
        order = torch.sort(best, dim=1, stable=True).indices[:, :count]
        best, places = best.gather(1, order), places.gather(1, order)
    watcher.done()
    k = min(count, several - 1)
    return Neighbours(places[:, :k].numpy(), best[:, :k].numpy())


class _Described:
    """Vectors of training images as the user knows them: means over their tiles."""

    def __init__(
        self,
        backbone: GuardedBackbone,
        train: TrainingSet,
        likeness: Likeness,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.backbone, self.train, self.likeness = backbone, train, likeness
        self.batch_size, self.device = batch_size, device
        of_tile = train.wholes.of_tile
        self.rows = np.argsort(of_tile, kind="stable")
        self.starts = np.searchsorted(of_tile[self.rows], all_rows(len(train.wholes) + 1))

    def vectors(self, wholes: Rows, advance: Advance | None = None) -> Tensor:
        """Return the vectors ``[W, F]`` of the images at these places."""
        tiles = [self.rows[self.starts[at] : self.starts[at + 1]] for at in wholes]
        of = torch.from_numpy(np.repeat(all_rows(len(wholes)), [len(rows) for rows in tiles]))
        trips = Trips(
            None if self.likeness.field == "image" else self.backbone,
            self.train.images,
            np.concatenate(tiles),
            frozenset({self.likeness.field, "image"}),
            self.batch_size,
            self.device,
            advance,
        )
        total, done = torch.zeros(0), 0
        for trip in trips:
            found = self.likeness.vectors(trip)
            if not done:
                total = found.new_zeros(len(wholes), found.shape[1])
            total.index_add_(0, of[done : done + len(found)], found)
            done += len(found)
        return total / torch.bincount(of, minlength=len(wholes))[:, None]
