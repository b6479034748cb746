"""Round trips made of random numbers: what scores and encoder losses are tested on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from anokit.scoring.built_score import batch_of
from anokit.scoring.probing import select
from anokit.types import ImageSpec, RoundTrip
from anokit.types.models import ROUND_TRIP_FIELDS

__all__ = ["Batches", "batch_of", "random_trip", "select"]

SPEC = ImageSpec(3, 16, 16)
LATENT, FEATURES, PATCH_GRID = 8, 12, (4, 4)


def random_trip(
    count: int, seed: int = 0, spec: ImageSpec = SPEC, scales: Sequence[str] = ()
) -> RoundTrip:
    """Return a trip of ``count`` random images with every field filled, float32 on the CPU.

    Images are uniform in [-1, 1], everything else is normal; what ends in ``_hat`` is its
    counterpart with noise added. ``latent`` is ``[B, 8]``, ``features`` ``[B, 12]``, ``patches``
    ``[B, 12, 4, 4]``, ``anomaly_map`` ``[B, 4, 4]``, ``critic`` ``[B]``. One seed, one trip.

    ``scales`` adds entries ``patches.NAME`` and ``patches_hat.NAME`` to ``extra``: the first has
    two positions each way, every further one twice as many.

    Examples
    --------
    >>> from anokit import ImageSpec
    >>> from anokit.testing import random_trip
    >>> trip = random_trip(4, seed=1, spec=ImageSpec(1, 32, 32))
    >>> trip.image.shape, trip.patches.shape
    (torch.Size([4, 1, 32, 32]), torch.Size([4, 12, 4, 4]))
    """
    source = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=source)

    image = 2 * torch.rand(count, spec.channels, spec.height, spec.width, generator=source) - 1
    latent, features, critic = normal(LATENT), normal(FEATURES), normal()
    patches = normal(FEATURES, *PATCH_GRID)
    trip = RoundTrip(
        image=image,
        latent=latent,
        image_hat=(image + 0.3 * normal(*image.shape[1:])).clamp(-1, 1),
        latent_hat=latent + 0.3 * normal(LATENT),
        features=features,
        features_hat=features + 0.3 * normal(FEATURES),
        patches=patches,
        patches_hat=patches + 0.3 * normal(FEATURES, *PATCH_GRID),
        anomaly_map=normal(*PATCH_GRID),
        critic=critic,
        critic_hat=critic + 0.3 * normal(),
    )
    extra = {}
    for place, name in enumerate(scales):  # last, so that the other fields are those without them
        scale = normal(FEATURES, 2 << place, 2 << place)
        extra[f"patches.{name}"] = scale
        extra[f"patches_hat.{name}"] = scale + 0.3 * normal(*scale.shape[1:])
    return replace(trip, extra=extra)


def keep(trip: RoundTrip, names: frozenset[str]) -> RoundTrip:
    """Return the trip with the fields in ``names`` alone."""
    own = {name: trip.get(name) for name in ROUND_TRIP_FIELDS if name in names}
    extra = {name: value for name, value in trip.extra.items() if name in names}
    return RoundTrip(**{k: v for k, v in own.items() if v is not None}, extra=extra)


def cloned(trip: RoundTrip) -> RoundTrip:
    """Return a copy of the trip that shares no memory with it."""
    return trip.map(torch.clone)


def changed_fields(before: RoundTrip, after: RoundTrip) -> list[str]:
    """Return the names of the fields that differ."""
    found = []
    for name in sorted(before.filled() | after.filled()):
        first, second = before.get(name), after.get(name)
        if first is None or second is None or not torch.equal(first, second):
            found.append(name)
    return found


class Batches:
    """Trips that a score is fitted on, each a copy: walked again and again, and not indexed.

    No more than this is what a run hands to ``fit``.
    """

    def __init__(self, trips: Sequence[RoundTrip]) -> None:
        self.trips = trips
        self.lent: list[tuple[RoundTrip, RoundTrip]] = []
        """every trip that was handed out, behind what it was made from"""

    @classmethod
    def of(cls, whole: RoundTrip, size: int) -> Batches:
        """Return a trip in batches of at most ``size``."""
        count = batch_of(whole)
        starts = range(0, count, size)
        return cls([select(whole, range(at, min(at + size, count))) for at in starts])

    def __len__(self) -> int:
        return len(self.trips)

    def __iter__(self) -> Iterator[RoundTrip]:
        for trip in self.trips:
            self.lent.append((trip, cloned(trip)))
            yield self.lent[-1][1]
