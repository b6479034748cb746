"""Round trips at the edges of what is possible, made from others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from anokit.testing.trips import batch_of, select
from anokit.types import RoundTrip
from anokit.types.models import ROUND_TRIP_FIELDS

IMAGES = ("image", "image_hat")


def with_fields(trip: RoundTrip, change: Callable[[str, Tensor], Tensor | None]) -> RoundTrip:
    """Return the trip with ``change(name, value)`` in place of fields, where that is not None.

    What a backbone and its own scores agree on stays: nobody else knows what it may be.
    """
    own = {n: value for n in ROUND_TRIP_FIELDS if (value := trip.get(n)) is not None}
    new = {n: value if (made := change(n, value)) is None else made for n, value in own.items()}
    return RoundTrip(**new, extra=trip.extra)


def perfect(trip: RoundTrip) -> RoundTrip:
    """Return the trip with everything come back as it was: ``x_hat`` a copy of ``x``."""

    def back(name: str, value: Tensor) -> Tensor | None:
        before = trip.get(name.removesuffix("_hat"))
        return before.clone() if name.endswith("_hat") and before is not None else None

    return with_fields(trip, back)


def flat(trip: RoundTrip) -> RoundTrip:
    """Return the trip with all pixels of an image equal: its mean."""

    def mean(name: str, value: Tensor) -> Tensor | None:
        if name != "image":
            return None
        return value.mean(dim=(1, 2, 3), keepdim=True).expand_as(value).clone()

    return with_fields(trip, mean)


def empty(trip: RoundTrip) -> RoundTrip:
    """Return the trip with everything zero but its images."""
    return with_fields(trip, lambda n, value: None if n in IMAGES else torch.zeros_like(value))


def alike(trip: RoundTrip) -> RoundTrip:
    """Return the trip with copies of its first image alone."""
    return select(trip, [0] * batch_of(trip))


def repeated(trip: RoundTrip) -> RoundTrip:
    """Return the trip with a few of its images, each several times: no full set of directions."""
    count = batch_of(trip)
    return select(trip, [row % max(2, count // 10) for row in range(count)])


EDGES: Mapping[str, Callable[[RoundTrip], RoundTrip]] = {
    "images of one grey level": flat,
    "perfect reconstructions": perfect,
    "features, latents and critics of zeros": empty,
    "few images, each several times": repeated,
    "copies of one image": alike,
    "copies of one image of one grey level, come back as it was, of zeros": lambda trip: alike(
        perfect(flat(empty(trip)))
    ),
}
"""What real data hold now and then: trips that divisions and inverses are afraid of."""


def crowded(trip: RoundTrip, row: int) -> RoundTrip:
    """Return the trip with one image as it was and, in the place of all others, loud ones.

    These are white, come back black, and have large features. Whatever leaks from the others of a
    batch is then as large as can be, while the rounding of one image stays what it was.
    """

    def raised(name: str, value: Tensor) -> Tensor:
        if name in IMAGES:
            new = torch.full_like(value, 1.0 if name == "image" else -1.0)
        else:
            new = 100 * (value.abs() + 1)
        new[row] = value[row]
        return new

    return with_fields(trip, raised)
